#include "conf/command_line.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "conf/words.h"
#include "proxy/base/memory.h"

enum {
	OPTION_DUMP = 256,
	OPTION_LISTEN,
	OPTION_BACKEND,
	OPTION_BRIDGE,
	OPTION_LOG_LEVEL,
};

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"test", no_argument, NULL, 't'},
	{"dump-config", no_argument, NULL, OPTION_DUMP},
	{"listen", required_argument, NULL, OPTION_LISTEN},
	{"backend", required_argument, NULL, OPTION_BACKEND},
	{"bridge", required_argument, NULL, OPTION_BRIDGE},
	{"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"usage: pollux -c FILE\n"
	"       pollux --listen ADDRESS --backend ADDRESS [--bridge plain]\n"
	"\n"
	"A reverse proxy that bridges HTTP long-polling and WebSockets.\n"
	"\n"
	"  -c, --config FILE     read the configuration from FILE, see pollux.conf(5)\n"
	"  -t, --test            check the configuration, say what is wrong, and leave\n"
	"      --dump-config     print the effective configuration with every option, and leave\n"
	"      --listen ADDRESS  without a file: accept plain HTTP here; \"8080\" and \"*:8080\"\n"
	"                        mean every address, else 127.0.0.1:8080, [::1]:8080 or\n"
	"                        unix:/run/pollux.sock; may be repeated\n"
	"      --backend ADDRESS without a file: forward to this server, such as\n"
	"                        127.0.0.1:3000, app.example:3000 or unix:/run/app.sock;\n"
	"                        may be repeated for several servers of one backend\n"
	"      --bridge NAME     without a file: let clients without WebSocket reach the\n"
	"                        backend's WebSocket, on every path; NAME is plain,\n"
	"                        sockjs or engineio; may be repeated\n"
	"      --log-level LEVEL error, warn, info or debug; overrides the file\n"
	"  -V, --version         print the version and leave\n"
	"  -h, --help            print this and leave\n";

const char *command_line_action_name(enum command_line_action action)
{
	switch (action) {
	case COMMAND_LINE_RUN:
		return "run";
	case COMMAND_LINE_TEST:
		return "test";
	case COMMAND_LINE_DUMP:
		return "dump";
	case COMMAND_LINE_VERSION:
		return "version";
	case COMMAND_LINE_HELP:
		return "help";
	}
	return "?";
}

void command_line_write_help(FILE *out)
{
	(void)fputs(help, out);
}

static void append(const char ***list, size_t *n, const char *value)
{
	*list = memory_realloc(*list, (*n + 1) * sizeof((*list)[0]));
	(*list)[(*n)++] = value;
}

static bool set_log_level(struct command_line *line, const char *word, FILE *err)
{
	for (int i = 0; conf_words_log_level[i] != NULL; i++) {
		if (strcmp(word, conf_words_log_level[i]) == 0) {
			line->log_level = (enum log_level)i;
			line->has_log_level = true;
			return true;
		}
	}
	(void)fprintf(err,
		"pollux: --log-level: \"%s\" is not known; it may be error, warn, info or debug\n",
		word);
	return false;
}

/* One option; false after saying what is wrong. */
static bool take_option(struct command_line *line, int option, char **argv, FILE *err)
{
	switch (option) {
	case 'c':
		line->config = optarg;
		return true;
	case 't':
		line->action = COMMAND_LINE_TEST;
		return true;
	case OPTION_DUMP:
		line->action = COMMAND_LINE_DUMP;
		return true;
	case OPTION_LISTEN:
		append(&line->listens, &line->n_listens, optarg);
		return true;
	case OPTION_BACKEND:
		append(&line->servers, &line->n_servers, optarg);
		return true;
	case OPTION_BRIDGE:
		append(&line->bridges, &line->n_bridges, optarg);
		return true;
	case OPTION_LOG_LEVEL:
		return set_log_level(line, optarg, err);
	case 'V':
		line->action = COMMAND_LINE_VERSION;
		return true;
	case 'h':
		line->action = COMMAND_LINE_HELP;
		return true;
	case ':':
		(void)fprintf(
			err, "pollux: %s needs a value; see pollux --help\n", argv[optind - 1]);
		return false;
	default:
		(void)fprintf(err, "pollux: %s is not an option; see pollux --help\n",
			optopt > 0 && optopt < 256 && argv[optind - 1][1] != '-'
				? (char[]){'-', (char)optopt, '\0'}
				: argv[optind - 1]);
		return false;
	}
}

static bool check_combination(const struct command_line *line, FILE *err)
{
	bool is_quick = line->n_listens > 0 || line->n_servers > 0 || line->n_bridges > 0;
	const char *what = NULL;

	if (line->action == COMMAND_LINE_VERSION || line->action == COMMAND_LINE_HELP)
		return true;
	if (line->config != NULL && is_quick)
		what = "--config and --listen, --backend or --bridge exclude each other";
	else if (line->config == NULL && !is_quick)
		what = "say what to do: --config FILE, or --listen ADDRESS --backend ADDRESS";
	else if (is_quick && line->n_listens == 0)
		what = "--listen is missing: where to accept, such as --listen 8080";
	else if (is_quick && line->n_servers == 0)
		what = "--backend is missing: where to forward, such as --backend 127.0.0.1:3000";
	if (what == NULL)
		return true;
	(void)fprintf(err, "pollux: %s; see pollux --help\n", what);
	return false;
}

bool command_line_parse(struct command_line *line, int argc, char **argv, FILE *err)
{
	int option;

	*line = (struct command_line){.action = COMMAND_LINE_RUN};
	/* 0 instead of 1 makes glibc forget an earlier run. */
	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "+:c:tVh", long_options, NULL)) != -1) {
		if (!take_option(line, option, argv, err))
			return false;
	}
	if (optind < argc) {
		(void)fprintf(err, "pollux: \"%s\" is one argument too many; see pollux --help\n",
			argv[optind]);
		return false;
	}
	return check_combination(line, err);
}

void command_line_clear(struct command_line *line)
{
	free(line->listens);
	free(line->servers);
	free(line->bridges);
	*line = (struct command_line){.action = COMMAND_LINE_RUN};
}

struct conf *command_line_load(const struct command_line *line, struct conf_errors *errors)
{
	struct conf_quick quick = {
		.listens = line->listens,
		.n_listens = line->n_listens,
		.servers = line->servers,
		.n_servers = line->n_servers,
		.bridges = line->bridges,
		.n_bridges = line->n_bridges,
	};
	struct conf *conf;

	conf = line->config != NULL ? conf_load(line->config, errors)
				    : conf_from_command_line(&quick, errors);
	if (conf != NULL && line->has_log_level)
		conf->log_level = line->log_level;
	return conf;
}
