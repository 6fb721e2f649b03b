/* The Date field's value (RFC 9110 section 5.6.7), formatted once a second. */
#ifndef PROXY_HTTP_DATE_H
#define PROXY_HTTP_DATE_H

#include "proxy/base/slice.h"

/* Lives until the next call. */
struct slice http_date(void);

#endif
