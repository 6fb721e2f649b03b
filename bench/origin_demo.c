#include "bench/origin_demo.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/buffer.h"
#include "proxy/base/memory.h"

enum { DEMO_FILES = 16 };

static const struct demo_type {
	const char *suffix;
	const char *type;
} demo_types[] = {
	{".html", "text/html; charset=utf-8"},
	{".css", "text/css; charset=utf-8"},
	{".js", "text/javascript; charset=utf-8"},
	{".svg", "image/svg+xml"},
};

static struct demo_file {
	char *path; /* "/name" */
	const char *type;
	struct buffer content;
} demo_files[DEMO_FILES];
static size_t n_demo_files;

static const char *demo_type_of(const char *name)
{
	const char *dot = strrchr(name, '.');
	for (size_t i = 0; dot && i < ARRAY_LEN(demo_types); i++) {
		if (strcmp(dot, demo_types[i].suffix) == 0)
			return demo_types[i].type;
	}
	return NULL;
}

static const struct demo_file *demo_find(struct slice path)
{
	if (slice_equals(path, SLICE("/")))
		path = SLICE("/index.html");
	for (size_t i = 0; i < n_demo_files; i++) {
		if (slice_equals(path, slice_from_string(demo_files[i].path)))
			return &demo_files[i];
	}
	return NULL;
}

static bool demo_load_file(const char *directory, const char *name, const char *type)
{
	char block[16384];
	struct buffer path = {0};
	buffer_print(&path, "%s/%s", directory, name);
	buffer_append(&path, "", 1);
	FILE *file = fopen(buffer_bytes(&path), "re");
	buffer_free(&path);
	if (!file)
		return false;
	struct demo_file *loaded = &demo_files[n_demo_files++];
	size_t n;
	while ((n = fread(block, 1, sizeof(block), file)) > 0)
		buffer_append(&loaded->content, block, n);
	fclose(file);
	loaded->type = type;
	loaded->path = memory_alloc(strlen(name) + 2);
	sprintf(loaded->path, "/%s", name);
	return true;
}

bool demo_load(const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	while (dir && (entry = readdir(dir)) && n_demo_files < DEMO_FILES) {
		const char *type = demo_type_of(entry->d_name);
		if (type && !demo_load_file(directory, entry->d_name, type))
			break;
	}
	if (dir)
		closedir(dir);
	if (demo_find(SLICE("/")))
		return true;
	fprintf(stderr, "origin: no readable index.html in %s\n", directory);
	return false;
}

void demo_free(void)
{
	for (size_t i = 0; i < n_demo_files; i++) {
		free(demo_files[i].path);
		buffer_free(&demo_files[i].content);
	}
	n_demo_files = 0;
}

bool demo_serve(struct conn *c, const struct http_request *request)
{
	const struct demo_file *file = demo_find(request->path);
	if (!file ||
		!(slice_equals(request->method, SLICE("GET")) ||
			slice_equals(request->method, SLICE("HEAD"))))
		return false;
	http_reply(c, request, 200, file->type,
		slice_of(buffer_bytes(&file->content), buffer_length(&file->content)));
	return true;
}
