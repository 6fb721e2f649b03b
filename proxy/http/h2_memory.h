/*
 * Memory for nghttp2's sessions. Each has a buffer of 16 KiB to put frames together, of which it
 * uses no more than the beginning, since DATA does not pass through it (h2_stream.h). From malloc
 * it would come with all its pages in use by something before. Here such buffers have pages of
 * their own, and those that were never touched are not there.
 */
#ifndef PROXY_HTTP_H2_MEMORY_H
#define PROXY_HTTP_H2_MEMORY_H

#include <nghttp2/nghttp2.h>

/* For nghttp2_session_*_new3. Running out of memory aborts. */
nghttp2_mem *h2_memory(void);

#endif
