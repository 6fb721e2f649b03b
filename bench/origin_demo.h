/* The demo page: the files of one directory, read at the start and served from memory. */
#ifndef BENCH_ORIGIN_DEMO_H
#define BENCH_ORIGIN_DEMO_H

#include <stdbool.h>

#include "bench/origin_conn.h"
#include "bench/origin_http.h"

/* Reads the directory's .html, .css, .js and .svg files. False, with a line on stderr, when it has
 * no index.html. */
MUST_USE bool demo_load(const char *directory);
void demo_free(void);
/* Answers a GET of one of the files, or of "/". False when it is none of them. */
bool demo_serve(struct conn *c, const struct http_request *request);

#endif
