/* uthash, whose default hash function falls through its cases in a way that clang warns of, with
 * another one. */
#ifndef PROXY_BASE_HASH_TABLE_H
#define PROXY_BASE_HASH_TABLE_H

#define HASH_FUNCTION(key, n, hash) HASH_FNV(key, n, hash)
#include <uthash.h>

#endif
