#include "conf/canonical.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "conf/address.h"
#include "conf/value.h"
#include "proxy/base/memory.h"

#define ALPHANUMERIC "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
/* RFC 9110 section 5.6.2. */
#define TOKEN ALPHANUMERIC "!#$%&'*+-.^_`|~"

enum { LONGEST_NAME = 253, LONGEST_PSEUDONYM = 64 };

char *conf_canonical_server(const char *text, const char **why)
{
	struct conf_address address;
	char *canonical;

	if (!conf_address_parse(&address, text, why))
		return NULL;
	canonical = memory_copy_string(address.text);
	conf_address_clear(&address);
	return canonical;
}

char *conf_canonical_network(const char *text, const char **why)
{
	struct conf_network network;

	return conf_network_parse(&network, text, why) ? memory_copy_string(text) : NULL;
}

static char *copy_lower(const char *text)
{
	char *copy = memory_copy_string(text);

	for (char *p = copy; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

/* How much of text is the host, before the port if there is one. */
static size_t host_length(const char *text)
{
	const char *end = text[0] == '[' ? strchr(text, ']') : NULL;

	return end != NULL ? (size_t)(end + 1 - text) : strcspn(text, ":");
}

/* A name, an IPv4 address, or an IPv6 address in brackets. */
static bool is_host(const char *text, size_t n)
{
	char host[LONGEST_NAME + 1];
	struct in6_addr bytes;

	if (n == 0 || n > LONGEST_NAME)
		return false;
	memcpy(host, text, n);
	host[n] = '\0';
	if (host[0] == '[') {
		host[n - 1] = '\0';
		return text[n - 1] == ']' && inet_pton(AF_INET6, host + 1, &bytes) == 1;
	}
	return host[0] != '.' && strspn(host, ALPHANUMERIC "-_.") == n;
}

static bool is_host_and_port(const char *text)
{
	size_t n = host_length(text);
	int64_t port;

	if (!is_host(text, n))
		return false;
	return text[n] == '\0' ||
		(text[n] == ':' && conf_value_parse_int(&port, text + n + 1) && port >= 1 &&
			port <= UINT16_MAX);
}

char *conf_canonical_host(const char *text, const char **why)
{
	const char *name = strncmp(text, "*.", 2) == 0 ? text + 2 : text;

	if (is_host(name, strlen(name)) && (name == text || name[0] != '['))
		return copy_lower(text);
	*why = "a host is a name without port, such as www.example.org, *.example.org or [::1]";
	return NULL;
}

char *conf_canonical_host_header(const char *text, const char **why)
{
	if (is_host_and_port(text))
		return memory_copy_string(text);
	*why = "write preserve, server, or the host to send, such as app.internal or "
	       "app.internal:3000";
	return NULL;
}

char *conf_canonical_origin(const char *text, const char **why)
{
	static const struct {
		const char *scheme;
		const char *default_port;
	} schemes[] = {
		{"https://", ":443"},
		{"http://", ":80"},
	};
	char *origin = copy_lower(text);

	if (strcmp(origin, "null") == 0 || strcmp(origin, "*") == 0)
		return origin;
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t n_scheme = strlen(schemes[i].scheme);
		char *host = origin + n_scheme;
		char *port;

		if (strncmp(origin, schemes[i].scheme, n_scheme) != 0 || !is_host_and_port(host))
			continue;
		port = host + host_length(host);
		if (strcmp(port, schemes[i].default_port) == 0)
			*port = '\0';
		return origin;
	}
	free(origin);
	*why = "write an origin as browsers send it, such as https://app.example.org or "
	       "http://localhost:8080 (no path, no slash at the end), or null; * for all";
	return NULL;
}

char *conf_canonical_via(const char *text, const char **why)
{
	size_t n = strlen(text);

	if (n > 0 && n <= LONGEST_PSEUDONYM && strspn(text, TOKEN) == n)
		return memory_copy_string(text);
	*why = "write a name of letters, digits and -._ only, at most 64 long";
	return NULL;
}

char *conf_canonical_cookie_name(const char *text, const char **why)
{
	if (strspn(text, TOKEN) == strlen(text))
		return memory_copy_string(text);
	*why = "write the name of the cookie alone, such as sid: no space, no = and no value";
	return NULL;
}

char *conf_canonical_script_url(const char *text, const char **why)
{
	bool is_url = text[0] == '\0' || text[0] == '/' || strncmp(text, "http://", 7) == 0 ||
		strncmp(text, "https://", 8) == 0;

	/* Those of RFC 3986 without the two that mean something in HTML. */
	if (is_url && strspn(text, ALPHANUMERIC "-._~:/?#[]@!$()*+,;=%") == strlen(text))
		return memory_copy_string(text);
	*why = "write the URL of the script, such as https://app.example.org/sockjs.min.js or "
	       "/sockjs.min.js";
	return NULL;
}

char *conf_canonical_poll_path(const char *text, const char **why)
{
	bool is_good = text[0] == '/';

	for (const char *p = text; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;

		is_good = is_good && c > 0x20 && c < 0x7f && c != '#';
	}
	if (is_good)
		return memory_copy_string(text);
	*why = "write a path that starts with /, with a query if need be, such as "
	       "/api/prices?all=1; other characters as %XX";
	return NULL;
}

char *conf_canonical_backend_name(const char *text, const char **why)
{
	if (text[0] != '\0')
		return memory_copy_string(text);
	*why = "write the title of a backend section";
	return NULL;
}
