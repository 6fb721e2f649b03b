/*
 * Stands in for proxy/net/dial.c in the one test program that includes it: keeps each dial until
 * the test answers it, with a conn in memory or a refusal.
 */
#ifndef TESTS_UNIT_PROXY_ROUTE_FAKE_DIAL_H
#define TESTS_UNIT_PROXY_ROUTE_FAKE_DIAL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/net/conn_fake.h"
#include "proxy/net/dial.h"

struct dial {
	struct dial_target target;
	const struct dial_owner *owner;
	void *arg;
	bool is_open;
};

#define MAX_DIALS 64

static struct dial dials[MAX_DIALS];
static struct conn_fake *conns[MAX_DIALS]; /* by dial */
static size_t n_dials;

struct dial *dial_start(struct loop *loop, struct resolver *resolver,
	const struct dial_target *target, const struct dial_owner *owner, void *arg)
{
	(void)loop;
	(void)resolver;
	assert_true(n_dials < MAX_DIALS);
	dials[n_dials] =
		(struct dial){.target = *target, .owner = owner, .arg = arg, .is_open = true};
	return &dials[n_dials++];
}

void dial_cancel(struct dial *self)
{
	assert_true(self->is_open);
	self->is_open = false;
}

static inline void close_dials(void)
{
	for (size_t i = 0; i < n_dials; i++) {
		if (conns[i] != NULL)
			conn_fake_free(conns[i]);
		conns[i] = NULL;
	}
	n_dials = 0;
}

/* The port of the server that the dial is for. */
static inline unsigned dialed(size_t i)
{
	assert_true(i < n_dials);
	return dials[i].target.address->port;
}

static inline void take_dial(size_t i)
{
	assert_true(i < n_dials && dials[i].is_open);
	dials[i].is_open = false;
}

static inline struct conn_fake *accept_dial(struct loop *loop, size_t i)
{
	take_dial(i);
	conns[i] = conn_fake_new(loop);
	dials[i].owner->on_conn(dials[i].arg, conn_fake_conn(conns[i]));
	loop_advance(loop, 0);
	return conns[i];
}

static inline void fail_dial(struct loop *loop, size_t i, enum conn_loss loss, const char *why)
{
	take_dial(i);
	dials[i].owner->on_failed(dials[i].arg, loss, why);
	loop_advance(loop, 0);
}

/* What the conn has written since the last look. */
static inline const char *sent(struct conn_fake *conn)
{
	static char text[16384];
	struct bytes *bytes = conn_fake_sent(conn);
	size_t n = MIN(bytes_size(bytes), sizeof(text) - 1);

	bytes_peek(bytes, text, n);
	text[n] = '\0';
	bytes_drain(bytes, n);
	return text;
}

#endif
