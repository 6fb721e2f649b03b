/*
 * Frames of SockJS and how each transport wraps them. Pure: items in, bytes out.
 *
 *	o	h	a["text","text"]	c[CODE,"reason"]
 *
 * Texts are JSON strings. Besides what JSON demands these are escaped as \uXXXX in lower case,
 * because some browser or other loses or changes them: U+0000 to U+001F where JSON has no shorter
 * form, U+200C to U+200F, U+2028 to U+202F, U+2060 to U+206F, U+FFF0 to U+FFFF, and the surrogates
 * of what is above U+FFFF.
 */
#ifndef BRIDGE_CLIENT_SOCKJS_ENCODE_H
#define BRIDGE_CLIENT_SOCKJS_ENCODE_H

#include <stdint.h>

#include "bridge/client/sockjs_request.h"
#include "bridge/message.h"
#include "proxy/base/bytes.h"
#include "proxy/base/slice.h"

void sockjs_encode_open(struct bytes *out);
void sockjs_encode_heartbeat(struct bytes *out);
/* MESSAGE_TEXT items of one list, from first to last. */
void sockjs_encode_messages(
	struct bytes *out, const struct message *first, const struct message *last);
/* 1005, which no client knows, is told as 1000 "Normal closure"; an empty reason of 1006 as
 * "Connection lost". */
void sockjs_encode_close(struct bytes *out, uint16_t code, struct slice reason);

/*
 * A frame (taken) as the transport has it. SOCKJS_TRANSPORT_WEBSOCKET: as it is. The callback is
 * for SOCKJS_JSONP.
 */
void sockjs_encode_wrap(struct bytes *out, enum sockjs_transport transport, struct slice callback,
	struct bytes *frame);
/*
 * What a response begins with, before its first frame; nothing for SOCKJS_XHR and SOCKJS_JSONP. The
 * callback is for SOCKJS_HTMLFILE. It is at least 1 KiB, where browsers hold back less than that.
 */
void sockjs_encode_prelude(
	struct bytes *out, enum sockjs_transport transport, struct slice callback);

/* Of BASE/info. entropy: 32 random bits. */
void sockjs_encode_info(struct bytes *out, bool has_websocket, bool needs_cookie, uint32_t entropy);
/* The page of BASE/iframe….html; client_url is put into it as it is. */
void sockjs_encode_iframe(struct bytes *out, const char *client_url);

#endif
