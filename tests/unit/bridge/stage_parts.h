/* What the files of the stage share. */
#ifndef TESTS_UNIT_BRIDGE_STAGE_PARTS_H
#define TESTS_UNIT_BRIDGE_STAGE_PARTS_H

#include "proxy/base/loop.h"
#include "proxy/net/conn_fake.h"

struct loop *stage_loop(void);
/* Runs the loop until nothing is to be done at this moment. */
void stage_settle(void);
/* The backend's end of the next dial. */
struct conn_fake *stage_accept_dial(void);
/* Makes it a client's connection. */
void stage_serve(struct conn_fake *conn);
void clients_close(void);
void peers_close(void);

#endif
