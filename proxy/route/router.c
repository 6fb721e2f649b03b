/*
 * Routes are grouped by the host they are for. A look-up walks from the host as it is over its
 * wildcards ("*.b.example", "*.example") to the group of every host, and within a group from the
 * most specific path to the least.
 */
#include "proxy/route/router.h"

#include <stdlib.h>

#include "proxy/base/hash_table.h"
#include "proxy/base/memory.h"

/* DNS names are at most 253 bytes; longer hosts have only the routes of every host. */
#define HOST_SIZE 256

struct entry {
	const struct conf_route *route;
	struct slice path;
};

struct group {
	struct slice host;     /* lower case, without "*."; borrowed from the configuration */
	struct entry *entries; /* most specific path first */
	size_t n_entries;
	UT_hash_handle hh; /* by host */
};

struct router {
	struct group *exact;
	struct group *wildcards;
	struct group any;
};

static struct group *find_group(struct group *groups, struct slice host)
{
	struct group *group;

	HASH_FIND(hh, groups, host.p, (unsigned)host.n, group);
	return group;
}

static struct group *get_group(struct router *self, const char *text)
{
	bool is_wildcard = strncmp(text, "*.", 2) == 0;
	struct group **groups = is_wildcard ? &self->wildcards : &self->exact;
	struct slice host = slice_from_string(is_wildcard ? text + 2 : text);
	struct group *group = find_group(*groups, host);

	if (group == NULL) {
		group = memory_alloc_zeroed(sizeof(*group));
		group->host = host;
		HASH_ADD_KEYPTR(hh, *groups, group->host.p, (unsigned)group->host.n, group);
	}
	return group;
}

/* Exact paths before prefixes, long ones before short ones. */
static bool is_more_specific(const struct entry *a, const struct entry *b)
{
	if (a->route->match != b->route->match)
		return a->route->match == CONF_MATCH_EXACT;
	return a->path.n > b->path.n;
}

/* Of two equal ones the first written stays the first. */
static void group_add(struct group *self, const struct conf_route *route)
{
	struct entry entry = {.route = route, .path = slice_from_string(route->path)};
	size_t at = self->n_entries;

	self->entries =
		memory_realloc(self->entries, (self->n_entries + 1) * sizeof(*self->entries));
	while (at > 0 && is_more_specific(&entry, &self->entries[at - 1])) {
		self->entries[at] = self->entries[at - 1];
		at--;
	}
	self->entries[at] = entry;
	self->n_entries++;
}

struct router *router_new(const struct conf *conf)
{
	struct router *self = memory_alloc_zeroed(sizeof(*self));

	for (size_t i = 0; i < conf->n_routes; i++) {
		const struct conf_route *route = &conf->routes[i];

		for (size_t h = 0; h < route->hosts.n_items; h++)
			group_add(get_group(self, route->hosts.items[h]), route);
		if (route->hosts.n_items == 0)
			group_add(&self->any, route);
	}
	return self;
}

static void free_groups(struct group **groups)
{
	struct group *group, *next;

	HASH_ITER(hh, *groups, group, next)
	{
		HASH_DEL(*groups, group);
		free(group->entries);
		free(group);
	}
}

void router_free(struct router *self)
{
	if (self == NULL)
		return;
	free_groups(&self->exact);
	free_groups(&self->wildcards);
	free(self->any.entries);
	free(self);
}

/* "/a" has /a and /a/b, not /ab; "/a/" has /a/ and /a/b, not /a. */
static bool is_prefix(struct slice prefix, struct slice path)
{
	if (!slice_starts_with(path, prefix))
		return false;
	return path.n == prefix.n || prefix.p[prefix.n - 1] == '/' || path.p[prefix.n] == '/';
}

static bool entry_has(const struct entry *entry, struct slice path)
{
	switch (entry->route->match) {
	case CONF_MATCH_EXACT:
		return slice_equals(entry->path, path);
	case CONF_MATCH_PREFIX:
		if (slice_equals(path, SLICE("*")))
			return entry->path.n == 1;
		return is_prefix(entry->path, path);
	}
	return false;
}

static const struct conf_route *group_find(const struct group *self, struct slice path)
{
	for (size_t i = 0; self != NULL && i < self->n_entries; i++)
		if (entry_has(&self->entries[i], path))
			return self->entries[i].route;
	return NULL;
}

/* The host of an authority in lower case, without port and the root's dot; empty if too long. */
static struct slice host_of(struct slice authority, char buf[HOST_SIZE])
{
	struct slice host = authority;

	if (host.n > 0 && host.p[0] == '[')
		host = slice_first(host, slice_find(host, ']') + 1);
	else
		host = slice_first(host, slice_find(host, ':'));
	if (host.n > 1 && host.p[host.n - 1] == '.')
		host.n--;
	if (host.n > HOST_SIZE)
		return SLICE("");
	for (size_t i = 0; i < host.n; i++) {
		char c = host.p[i];

		buf[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	return slice_of(buf, host.n);
}

const struct conf_route *router_find(
	const struct router *self, struct slice authority, struct slice path)
{
	const struct conf_route *route = NULL;
	char buf[HOST_SIZE];
	struct slice host;

	if (self->exact != NULL || self->wildcards != NULL) {
		host = host_of(authority, buf);
		route = group_find(find_group(self->exact, host), path);
		while (route == NULL && self->wildcards != NULL && host.n > 0) {
			host = slice_from(host, slice_find(host, '.') + 1);
			route = group_find(find_group(self->wildcards, host), path);
		}
	}
	return route != NULL ? route : group_find(&self->any, path);
}
