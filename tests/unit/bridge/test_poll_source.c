/* Listeners that come and go while they are told. */
#include "bridge/feed/poll_source.h"
#include "tests/unit/bridge/stage.h"

#define POLL "poll { path = \"/p\" interval = 1s }\n"

struct ear {
	struct poll_listener listener;
	struct ear *other; /* leaves when this one is told */
	size_t n_told;
	bool has_left;
};

static void leave(struct ear *self)
{
	if (!self->has_left)
		poll_source_leave(stage_bridge()->source, &self->listener);
	self->has_left = true;
}

static void on_news(struct poll_listener *listener)
{
	struct ear *self = CONTAINER_OF(listener, struct ear, listener);

	assert_false(self->has_left);
	self->n_told++;
	if (self->other != NULL)
		leave(self->other);
}

static void join(struct ear *self)
{
	*self = (struct ear){.listener.on_news = on_news};
	poll_source_join(stage_bridge()->source, &self->listener);
}

static void answer(void)
{
	stage_pass_ms(0);
	peer_send(peer_next(), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
}

/* Who is told makes one leave: which of four, and which of them, in all ways. */
static void one_leaves_while_they_are_told(void **state)
{
	enum { N = 4 };
	struct ear ears[N];

	(void)state;
	for (int teller = 0; teller < N; teller++) {
		for (int goer = 0; goer < N; goer++) {
			stage_open(POLL);
			for (int i = 0; i < N; i++)
				join(&ears[i]);
			ears[teller].other = &ears[goer];
			answer();
			for (int i = 0; i < N; i++)
				assert_int_equal(
					ears[i].n_told, i == goer && goer > teller ? 0 : 1);
			for (int i = 0; i < N; i++)
				leave(&ears[i]);
			stage_close();
		}
	}
}

static void what_is_known_lasts_an_interval(void **state)
{
	struct poll_source *source;
	struct ear ear;

	(void)state;
	stage_open(POLL);
	source = stage_bridge()->source;
	assert_int_equal(poll_source_knowledge(source), POLL_UNKNOWN);
	join(&ear);
	answer();
	assert_int_equal(poll_source_knowledge(source), POLL_HAS_VALUE);
	assert_int_equal(poll_source_version(source), 1);
	assert_true(slice_equals(shared_payload_bytes(poll_source_value(source)), SLICE("1")));
	leave(&ear);
	stage_pass_ms(999);
	assert_int_equal(poll_source_knowledge(source), POLL_HAS_VALUE);
	stage_pass_ms(1);
	assert_int_equal(poll_source_knowledge(source), POLL_UNKNOWN);
	assert_null(poll_source_value(source));
	/* A version never comes again. */
	join(&ear);
	answer();
	assert_int_equal(poll_source_version(source), 2);
	leave(&ear);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(one_leaves_while_they_are_told, stage_tear_down),
		cmocka_unit_test_teardown(what_is_known_lasts_an_interval, stage_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
