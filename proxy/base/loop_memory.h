/*
 * Memory for libevent, which keeps a few bytes for each number that a descriptor ever had, until it
 * ends. From malloc they would lie among the memory of clients, and hold its pages when those have
 * gone. Here they have pages of their own.
 */
#ifndef PROXY_BASE_LOOP_MEMORY_H
#define PROXY_BASE_LOOP_MEMORY_H

/* Before the first event base is made; again does no harm. */
void loop_memory_use(void);

#endif
