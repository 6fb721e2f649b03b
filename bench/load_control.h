/* Steers who sends to the sessions: the origin's /push/control, or any server that takes a message
 * for all by POST. */
#ifndef BENCH_LOAD_CONTROL_H
#define BENCH_LOAD_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include "bench/load_client.h"

struct load_control_app {
	void (*on_ready)(void);
	/* A command that has an answer got it: "collect", and each POST. */
	void (*on_answer)(void);
};

/* To where load_bridge says. False: it does not. */
bool load_control_open(const struct load_control_app *app);
bool load_control_is_ready(void);
/* Whether a message to all is answered. */
bool load_control_posts(void);
/* `command` with its blank; only "all " where messages are posted. */
void load_control_say(const char *command, const char *text, size_t n);

/* What the modes tell of the connection. */
bool load_control_owns(const struct load_client *c);
void load_control_on_connected(struct load_client *c);
size_t load_control_on_bytes(struct load_client *c, char *data, size_t n);
void load_control_on_closed(struct load_client *c);

#endif
