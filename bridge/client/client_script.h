/*
 * pollux.js, the client for browsers and Node, served at the route's client_script. The text is in
 * the program: made from bridge/client/pollux.js by the makefile.
 */
#ifndef BRIDGE_CLIENT_CLIENT_SCRIPT_H
#define BRIDGE_CLIENT_CLIENT_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/slice.h"
#include "proxy/http/exchange.h"

extern const unsigned char client_script_text[];
extern const size_t client_script_size;

/* Whether If-None-Match (RFC 9110 section 13.1.2) names the tag, compared weakly. Pure. */
bool client_script_is_fresh(const struct fields *fields, struct slice tag);

/*
 * Answers GET and HEAD of x->route's client_script, also conditional ones, and anything else on it
 * with 405. To every origin, for there is nothing in it that is not public. False: another path,
 * untouched.
 */
bool client_script_start(struct exchange *x);

#endif
