/* An Engine.IO session on the stage, and requests of it. One at a time. */
#ifndef TESTS_UNIT_BRIDGE_STAGE_ENGINEIO_H
#define TESTS_UNIT_BRIDGE_STAGE_ENGINEIO_H

#include "tests/unit/bridge/stage.h"
#include "tests/unit/bridge/stage_web_socket.h"

/* The times of the session, in its open packet. */
#define ENGINEIO_PING_INTERVAL_MS 25000
#define ENGINEIO_PING_TIMEOUT_MS 20000
#define ENGINEIO_MAX_PAYLOAD 1000

/* A stage with the dialect; `route` as in stage_open. */
void engineio_stage(const char *route);
/* An opening of which nothing has been answered. */
struct client *engineio_ask(const char *fields);
/* The backend's open packet. */
void engineio_greet(struct peer *peer);
/* stage, opening, 101 and open packet: the session is the one of the functions below. */
struct peer *engineio_open(const char *route);
/* The session of an opening's answer is that of the functions below. */
void engineio_take_id(struct client *client);
const char *engineio_id(void);
/* The target of its requests, with more parameters ("&t=1"). */
const char *engineio_target(const char *more);

struct client *engineio_poll(void);
struct client *engineio_post(const char *body);
/* A WebSocket with its id that has been accepted. */
struct web_socket *engineio_candidate(void);
/* The same, and it has become what the session is on. */
struct web_socket *engineio_upgraded(void);

/* A payload, an error of the protocol, "ok". Nothing is answered yet: engineio_waits. */
void engineio_has(struct client *client, const char *payload);
void engineio_has_ok(struct client *client);
void engineio_has_error(struct client *client, unsigned status, int code, const char *message);
void engineio_waits(struct client *client);
/* The id is unknown: a poll says so. */
void engineio_is_unknown(void);

#endif
