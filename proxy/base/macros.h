/* Small macros that every layer uses. ASSERT guards our own invariants, never input; it stays on in
 * release builds. */
#ifndef PROXY_BASE_MACROS_H
#define PROXY_BASE_MACROS_H

#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define NO_RETURN __attribute__((noreturn))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* The struct of `type` whose `member` stands at `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define ASSERT(expr) (LIKELY(expr) ? (void)0 : assert_failed(#expr, __FILE__, __LINE__, __func__))

/* Prints the broken invariant and aborts, so that the core shows the state as it was. */
NO_RETURN void assert_failed(const char *expr, const char *file, int line, const char *func);

#endif
