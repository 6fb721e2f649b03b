/* Raw bytes between a conn and the pipes of a tunnel. */
#ifndef PROXY_HTTP_H1_TUNNEL_H
#define PROXY_HTTP_H1_TUNNEL_H

#include "proxy/base/pipe.h"
#include "proxy/net/conn.h"

/*
 * Moves received bytes and the peer's end into the pipe; stops reading the socket while the pipe is
 * full. Returns the number of bytes moved.
 */
size_t h1_tunnel_receive(struct conn *conn, struct pipe *to);
/* Moves bytes and the end from the pipe to the conn's output and asks for a write. Returns the
 * number of bytes moved. */
size_t h1_tunnel_send(struct conn *conn, struct pipe *from);

#endif
