#include "conf/words.h"

#include "conf/conf.h"

const char *const conf_words_access_log_format[] = {
	[CONF_ACCESS_LOG_COMBINED] = "combined",
	[CONF_ACCESS_LOG_JSON] = "json",
	NULL,
};

const char *const conf_words_log_level[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
	NULL,
};

const char *const conf_words_tls_version[] = {
	[CONF_TLS_1_2] = "1.2",
	[CONF_TLS_1_3] = "1.3",
	NULL,
};

const char *const conf_words_client_verify[] = {
	[CONF_CLIENT_VERIFY_OFF] = "off",
	[CONF_CLIENT_VERIFY_OPTIONAL] = "optional",
	[CONF_CLIENT_VERIFY_REQUIRED] = "required",
	NULL,
};

const char *const conf_words_balance[] = {
	[CONF_BALANCE_ROUND_ROBIN] = "round_robin",
	[CONF_BALANCE_LEAST_CONN] = "least_conn",
	NULL,
};

const char *const conf_words_protocol[] = {
	[CONF_PROTOCOL_AUTO] = "auto",
	[CONF_PROTOCOL_HTTP1] = "http/1.1",
	[CONF_PROTOCOL_H2] = "h2",
	NULL,
};

const char *const conf_words_match[] = {
	[CONF_MATCH_PREFIX] = "prefix",
	[CONF_MATCH_EXACT] = "exact",
	NULL,
};

const char *const conf_words_forwarded[] = {
	[CONF_FORWARDED_OFF] = "off",
	[CONF_FORWARDED_X] = "x-forwarded",
	[CONF_FORWARDED_STANDARD] = "forwarded",
	[CONF_FORWARDED_BOTH] = "both",
	NULL,
};

/* A word's index is the number of its bit in enum conf_dialect. */
const char *const conf_words_dialect[] = {
	"plain",
	"sockjs",
	"engineio",
	NULL,
};

const char *conf_access_log_format_name(enum conf_access_log_format format)
{
	return conf_words_access_log_format[format];
}

const char *conf_tls_version_name(enum conf_tls_version version)
{
	return conf_words_tls_version[version];
}

const char *conf_client_verify_name(enum conf_client_verify verify)
{
	return conf_words_client_verify[verify];
}

const char *conf_balance_name(enum conf_balance balance)
{
	return conf_words_balance[balance];
}

const char *conf_protocol_name(enum conf_protocol protocol)
{
	return conf_words_protocol[protocol];
}

const char *conf_host_header_name(enum conf_host_header host_header)
{
	switch (host_header) {
	case CONF_HOST_PRESERVE:
		return "preserve";
	case CONF_HOST_SERVER:
		return "server";
	case CONF_HOST_LITERAL:
		return "literal";
	}
	return "?";
}

const char *conf_match_name(enum conf_match match)
{
	return conf_words_match[match];
}

const char *conf_forwarded_name(enum conf_forwarded forwarded)
{
	return conf_words_forwarded[forwarded];
}

const char *conf_dialect_name(enum conf_dialect dialect)
{
	switch (dialect) {
	case CONF_DIALECT_PLAIN:
		return "plain";
	case CONF_DIALECT_SOCKJS:
		return "sockjs";
	case CONF_DIALECT_ENGINEIO:
		return "engineio";
	}
	return "?";
}
