/*
 * Checks of strings that options hold. Each returns the canonical spelling, the caller's to free;
 * or NULL, and *why is a static sentence that says what would be right.
 */
#ifndef CONF_CANONICAL_H
#define CONF_CANONICAL_H

/* An address of a server: conf_address_parse. */
char *conf_canonical_server(const char *text, const char **why);

/* A network: conf_network_parse. */
char *conf_canonical_network(const char *text, const char **why);

/* A host without port, "*." before it for every name below; in lower case. */
char *conf_canonical_host(const char *text, const char **why);

/* preserve, server, or a host with or without port. */
char *conf_canonical_host_header(const char *text, const char **why);

/* An origin as browsers send it (RFC 6454 section 6.2): lower case, no default port; null; or "*",
 * for every origin. */
char *conf_canonical_origin(const char *text, const char **why);

/* A pseudonym for Via: a token of RFC 9110 section 5.6.2. */
char *conf_canonical_via(const char *text, const char **why);

/* The name of a cookie (RFC 6265 section 4.1.1), which is a token; or nothing. */
char *conf_canonical_cookie_name(const char *text, const char **why);

/* A path or an http(s) URL that may stand in an attribute of HTML as it is; or nothing. */
char *conf_canonical_script_url(const char *text, const char **why);
/* A path, with or without a query, as a request target holds it. */
char *conf_canonical_poll_path(const char *text, const char **why);

/* Anything but the empty string. */
char *conf_canonical_backend_name(const char *text, const char **why);

#endif
