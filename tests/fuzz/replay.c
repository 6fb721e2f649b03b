/*
 * Stands in for libFuzzer: feeds each seed to the fuzz target it is linked with, so that `make
 * check` replays the seeds with any compiler. The files to feed are the arguments, or else all
 * those of the seed folder that belongs to the program's name: replay_http_head reads
 * tests/fuzz/seeds/http_head.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *program_name;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_name, what, strerror(errno));
	exit(1);
}

/*
 * The bytes are handed over in an allocation of exactly their size, so that AddressSanitizer sees a
 * read past the end.
 */
static void replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat info;
	size_t size;
	uint8_t *data;

	if (file == NULL || fstat(fileno(file), &info) != 0)
		die(path);
	size = (size_t)info.st_size;
	data = malloc(size > 0 ? size : 1);
	if (data == NULL || fread(data, 1, size, file) != size)
		die(path);
	fclose(file);
	/* Said before it runs: the last line of a crash names the seed. */
	printf("%s, %zu bytes\n", path, size);
	fflush(stdout);
	(void)LLVMFuzzerTestOneInput(data, size);
	free(data);
}

static int replay_folder(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	char file[PATH_MAX];
	int n_seeds = 0;

	if (folder == NULL)
		die(path);
	while ((entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if ((size_t)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) >=
			sizeof(file)) {
			errno = ENAMETOOLONG;
			die(path);
		}
		replay_file(file);
		n_seeds++;
	}
	closedir(folder);
	return n_seeds;
}

int main(int argc, char **argv)
{
	const char *top = getenv("TOP_SRCDIR");
	const char *name = strrchr(argv[0], '/');
	char folder[PATH_MAX];
	int n_seeds = argc - 1;

	program_name = name == NULL ? argv[0] : name + 1;
	for (int i = 1; i < argc; i++)
		replay_file(argv[i]);
	if (argc == 1) {
		name = strchr(program_name, '_');
		snprintf(folder, sizeof(folder), "%s/tests/fuzz/seeds/%s", top == NULL ? "." : top,
			name == NULL ? program_name : name + 1);
		n_seeds = replay_folder(folder);
	}
	/* The line that bootstrap.sh counts seeds by. */
	printf("%d seeds replayed\n", n_seeds);
	return n_seeds > 0 ? 0 : 1;
}
