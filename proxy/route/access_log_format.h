/*
 * The two forms of a line of the access log. Pure. Bytes from outside are escaped, so that a line
 * stays a line; session ids, which are secrets, are cut.
 *
 * combined: what Apache and nginx call so, then the host, the server used, the reason of a failure,
 * the bridge session, and milliseconds: to read the head, to have a connection to the server, to
 * have the server's head after that, and in all. "-" where there is nothing to say.
 *
 *	192.0.2.1 - - [28/Aug/2026:10:11:12 +0000] "GET /a?b HTTP/1.1" 200 12 "-" "curl/7.88.1"
 *	a.example 10.0.0.5:3000 - - 0.104 0.030 2.340 2.480
 *
 * JSON: an object with the same facts under names; what there is nothing to say of is left out.
 */
#ifndef PROXY_ROUTE_ACCESS_LOG_FORMAT_H
#define PROXY_ROUTE_ACCESS_LOG_FORMAT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "conf/conf.h"
#include "proxy/base/bytes.h"
#include "proxy/base/slice.h"
#include "proxy/http/exchange.h"
#include "proxy/http/reason.h"

/* Empty slices and NULL: not known. */
struct access_log_facts {
	struct slice client;
	struct slice method; /* empty: the request could not be read */
	struct slice target;
	struct slice host;
	struct slice referer;
	struct slice user_agent;
	struct slice session;
	const char *server;
	const char *tls_version;
	struct exchange_times times;
	uint64_t n_request_body;
	uint64_t n_response_body;
	enum reason reason;
	unsigned version; /* 10, 11, 20 */
	unsigned status;  /* 0: none was given */
	bool is_upgrade;
};

/* Local time as lines show it; made once a second. */
struct access_log_clock {
	time_t second;
	char combined[32]; /* 28/Aug/2026:10:11:12 +0000 */
	char json[32];	   /* 2026-08-28T10:11:12+00:00 */
};

void access_log_clock_set(struct access_log_clock *self, time_t now);

void access_log_format(struct bytes *out, enum conf_access_log_format format,
	const struct access_log_facts *facts, const struct access_log_clock *clock);

/* What is shown: 499 for a client that left before a status was given; else 0 for none. */
unsigned access_log_status(const struct access_log_facts *facts);

/*
 * A session id stands in the last segment of a path, after "~": of such a segment four characters
 * are shown and the rest is masked. Between `cut` and `resume` lies what is not shown; both are the
 * size where there is nothing to mask. For targets and whole URLs.
 */
struct access_log_mask {
	size_t cut;
	size_t resume;
};

struct access_log_mask access_log_find_mask(struct slice url);

#endif
