// The servers under test, each with the configuration that makes it do the same work: one worker, HTTP/1.1,
// HTTP/2 and WebSockets passed to one origin, connections to the origin kept alive, no access log, one P-256
// certificate. Nothing that costs is switched on for the others that is on for Pollux: it writes Via and
// X-Forwarded-*, they write none. What else differs from their defaults makes them quicker here: README.md
// lists it.

import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

import { findProgram, startServer } from "./programs.mjs";

const descriptors = 20000;

function nginxConfiguration({ folder, origin, plain, tls, pem }) {
	return `
${process.getuid() === 0 ? "user root;" : ""}
worker_processes 1;
daemon off;
pid ${folder}/nginx.pid;
error_log ${folder}/nginx.log error;
events { worker_connections ${descriptors}; }
http {
	access_log off;
	client_body_temp_path ${folder}/nginx-body;
	proxy_temp_path ${folder}/nginx-proxy;
	client_body_buffer_size 128k;
	http2_body_preread_size 128k;
	fastcgi_temp_path ${folder}/nginx-fastcgi;
	uwsgi_temp_path ${folder}/nginx-uwsgi;
	scgi_temp_path ${folder}/nginx-scgi;
	keepalive_timeout 1h;
	keepalive_requests 1000000000;
	upstream app {
		server 127.0.0.1:${origin};
		keepalive 4096;
		keepalive_requests 1000000000;
		keepalive_timeout 1h;
	}
	map $http_upgrade $connection_field { default upgrade; "" ""; }
	server {
		listen 127.0.0.1:${plain} backlog=4096;
		listen 127.0.0.1:${tls} ssl http2 backlog=4096;
		ssl_certificate ${pem};
		ssl_certificate_key ${pem};
		ssl_protocols TLSv1.2 TLSv1.3;
		location / {
			proxy_pass http://app;
			proxy_http_version 1.1;
			proxy_set_header Host $host;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_field;
			proxy_read_timeout 1h;
			proxy_send_timeout 1h;
			proxy_max_temp_file_size 0;
			proxy_buffers 8 32k;
			proxy_busy_buffers_size 64k;
		}
	}
}
`;
}

function haproxyConfiguration({ origin, h2Origin, plain, tls, pem }) {
	return `
global
	maxconn ${Math.floor(descriptors / 2) - 100}
	nbthread 1
	ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
	mode http
	option http-keep-alive
	timeout connect 5s
	timeout client 1h
	timeout server 1h
	timeout tunnel 1h
	timeout http-keep-alive 1h
frontend in
	bind 127.0.0.1:${plain} backlog 4096
	bind 127.0.0.1:${tls} ssl crt ${pem} alpn h2,http/1.1 backlog 4096
	default_backend app
backend app
	http-reuse always
	server origin 127.0.0.1:${h2Origin ? `${h2Origin} proto h2` : origin}
`;
}

function polluxConfiguration({ origin, h2Origin, plain, tls, pem }) {
	return `
access_log = "off"
workers = 1
drain = "0s"
listen "127.0.0.1:${plain}" {
	idle_timeout = "1h"
}
listen "127.0.0.1:${tls}" {
	certificates = {"${pem}"}
	idle_timeout = "1h"
}
backend "app" {
	servers = {"127.0.0.1:${h2Origin ?? origin}"}
	idle_timeout = "1h"
	max_idle_connections = 4096
	${h2Origin ? 'protocol = "h2"' : ""}
}
route "/" {
	backend = "app"
}
route "/ws/watched" {
	backend = "app"
	tunnel {
		ping_client = "1m"
		ping_backend = "1m"
		max_message_size = "1M"
		messages_per_second = 10000000
		bytes_per_second = "1T"
	}
}
`;
}

function write(setting, name, text) {
	const path = join(setting.folder, name);
	writeFileSync(path, text);
	return path;
}

function nghttpxArguments({ folder, origin, h2Origin, plain, tls, pem }) {
	return [
		`--conf=${write({ folder }, "nghttpx.conf", "")}`,
		`--frontend=127.0.0.1,${plain};no-tls`,
		`--frontend=127.0.0.1,${tls}`,
		`--backend=127.0.0.1,${h2Origin ? `${h2Origin};;proto=h2` : origin}`,
		"--workers=1", "--backlog=4096", "--log-level=FATAL", "--no-ocsp",
		"--no-via", "--no-add-x-forwarded-proto", "--tls-dyn-rec-warmup-threshold=0",
		"--frontend-http2-window-size=1M", "--frontend-http2-connection-window-size=16M",
		...["frontend-http2-read", "frontend-read", "frontend-keep-alive", "backend-read", "backend-keep-alive"]
			.map((name) => `--${name}-timeout=1h`),
		pem, pem,
	];
}

// The relay has one port, the one that is to be measured.
const relay = {
	name: "floor",
	floor: true,
	lacks: ["h2"],
	find: ({ build }) => join(build, "bench/relay"),
	start(file, setting, { secure }) {
		const port = secure ? setting.tls : setting.plain;
		const args = ["--listen", `127.0.0.1:${port}`, "--backend", `127.0.0.1:${setting.origin}`];
		return startServer(file, secure ? [...args, "--pem", setting.pem] : args, [port]);
	},
};

const pollux = {
	name: "Pollux",
	find: ({ build, pollux: file }) => resolve(file ?? join(build, "pollux")),
	start(file, setting) {
		const path = write(setting, "pollux.conf", polluxConfiguration(setting));
		return startServer(file, ["-c", path], [setting.plain, setting.tls]);
	},
};

const nginx = {
	name: "nginx",
	lacks: ["h2-websocket", "h2-origin"],
	find: () => findProgram("nginx"),
	start(file, setting) {
		const path = write(setting, "nginx.conf", nginxConfiguration(setting));
		const args = ["-p", setting.folder, "-e", join(setting.folder, "nginx.log"), "-c", path];
		return startServer(file, args, [setting.plain, setting.tls]);
	},
};

const haproxy = {
	name: "HAProxy",
	find: () => findProgram("haproxy"),
	start(file, setting) {
		const path = write(setting, "haproxy.conf", haproxyConfiguration(setting));
		return startServer(file, ["-db", "-q", "-f", path], [setting.plain, setting.tls]);
	},
};

const nghttpx = {
	name: "nghttpx",
	find: () => findProgram("nghttpx"),
	start(file, setting) {
		return startServer(file, nghttpxArguments(setting), [setting.plain, setting.tls]);
	},
};

// An origin that speaks HTTP/2 without TLS and nothing else: who talks HTTP/1.1 to it gets no answer. It has
// /small alone.
export async function startH2Origin(port, folder) {
	const file = findProgram("nghttpd");
	if (!file)
		throw new Error("nghttpd, the origin that speaks HTTP/2, is not installed (Debian: nghttp2-server)");
	const documents = join(folder, "documents");
	mkdirSync(documents);
	writeFileSync(join(documents, "small"), "ok");
	const args = ["--no-tls", "--address=127.0.0.1", "--max-concurrent-streams=1000", `--htdocs=${documents}`];
	return startServer(file, [...args, String(port)], [port]);
}

export const servers = [pollux, nginx, haproxy, nghttpx, relay];

export const abilities = {
	"h2": "HTTP/2",
	"h2-websocket": "WebSockets over HTTP/2 (RFC 8441)",
	"h2-origin": "HTTP/2 to the origin",
};
