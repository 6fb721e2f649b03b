#include "proxy/http/message.h"

enum method method_find(struct slice name)
{
	static const struct {
		struct slice name;
		enum method method;
	} methods[] = {
		{{"GET", 3}, METHOD_GET},
		{{"POST", 4}, METHOD_POST},
		{{"HEAD", 4}, METHOD_HEAD},
		{{"PUT", 3}, METHOD_PUT},
		{{"OPTIONS", 7}, METHOD_OPTIONS},
		{{"DELETE", 6}, METHOD_DELETE},
		{{"PATCH", 5}, METHOD_PATCH},
		{{"CONNECT", 7}, METHOD_CONNECT},
		{{"TRACE", 5}, METHOD_TRACE},
	};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (slice_equals(methods[i].name, name))
			return methods[i].method;
	return METHOD_OTHER;
}

bool method_is_safe(enum method method)
{
	return method == METHOD_GET || method == METHOD_HEAD || method == METHOD_OPTIONS ||
		method == METHOD_TRACE;
}

bool method_is_idempotent(enum method method)
{
	return method_is_safe(method) || method == METHOD_PUT || method == METHOD_DELETE;
}

const char *body_kind_name(enum body_kind kind)
{
	switch (kind) {
	case BODY_NONE:
		return "none";
	case BODY_LENGTH:
		return "length";
	case BODY_CHUNKED:
		return "chunked";
	case BODY_CLOSE:
		return "close";
	}
	return "?";
}

enum reason request_head_read_expect(struct request_head *head)
{
	const struct field *expect = fields_find(&head->fields, FIELD_EXPECT);

	if (expect == NULL)
		return REASON_NONE;
	if (fields_count(&head->fields, FIELD_EXPECT) > 1 ||
		!slice_equals_ignoring_case(expect->value, SLICE("100-continue")))
		return REASON_EXPECTATION;
	head->expects_100 = head->version_minor > 0;
	return REASON_NONE;
}

static const char *const phrases_1xx[] = {
	"Continue", "Switching Protocols", "Processing", "Early Hints"};
static const char *const phrases_2xx[] = {"OK", "Created", "Accepted",
	"Non-Authoritative Information", "No Content", "Reset Content", "Partial Content",
	"Multi-Status", "Already Reported"};
static const char *const phrases_3xx[] = {"Multiple Choices", "Moved Permanently", "Found",
	"See Other", "Not Modified", "Use Proxy", "", "Temporary Redirect", "Permanent Redirect"};
static const char *const phrases_4xx[] = {"Bad Request", "Unauthorized", "Payment Required",
	"Forbidden", "Not Found", "Method Not Allowed", "Not Acceptable",
	"Proxy Authentication Required", "Request Timeout", "Conflict", "Gone", "Length Required",
	"Precondition Failed", "Content Too Large", "URI Too Long", "Unsupported Media Type",
	"Range Not Satisfiable", "Expectation Failed", "", "", "", "Misdirected Request",
	"Unprocessable Content", "Locked", "Failed Dependency", "Too Early", "Upgrade Required", "",
	"Precondition Required", "Too Many Requests", "", "Request Header Fields Too Large"};
static const char *const phrases_5xx[] = {"Internal Server Error", "Not Implemented", "Bad Gateway",
	"Service Unavailable", "Gateway Timeout", "HTTP Version Not Supported",
	"Variant Also Negotiates", "Insufficient Storage", "Loop Detected", "", "",
	"Network Authentication Required"};

const char *status_reason(unsigned status)
{
	static const struct {
		const char *const *phrases;
		size_t n;
	} classes[] = {
		{phrases_1xx, ARRAY_LEN(phrases_1xx)},
		{phrases_2xx, ARRAY_LEN(phrases_2xx)},
		{phrases_3xx, ARRAY_LEN(phrases_3xx)},
		{phrases_4xx, ARRAY_LEN(phrases_4xx)},
		{phrases_5xx, ARRAY_LEN(phrases_5xx)},
	};
	unsigned class = status / 100 - 1, rest = status % 100;

	if (class < ARRAY_LEN(classes) && rest < classes[class].n)
		return classes[class].phrases[rest];
	return status == 451 ? "Unavailable For Legal Reasons" : "";
}
