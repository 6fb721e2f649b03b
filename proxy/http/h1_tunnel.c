#include "proxy/http/h1_tunnel.h"

size_t h1_tunnel_receive(struct conn *conn, struct pipe *to)
{
	size_t n = bytes_size(conn_input(conn));

	if (n > 0)
		pipe_put(to, conn_input(conn), n);
	if (conn_has_input_ended(conn)) {
		conn_set_reading(conn, false);
		pipe_put_end(to);
	} else {
		conn_set_reading(conn, pipe_room(to) > 0);
	}
	return n;
}

size_t h1_tunnel_send(struct conn *conn, struct pipe *from)
{
	size_t n = 0, room;

	/* Until there is no room: only then the conn says when there is some again. */
	while (pipe_size(from) > 0 && (room = conn_output_room(conn)) > 0)
		n += pipe_take(from, conn_output(conn), bytes_round_up(&from->bytes, room));
	if (n > 0)
		conn_flush(conn);
	if (pipe_is_ended(from) && !conn_has_output_ended(conn))
		conn_end_output(conn);
	return n;
}
