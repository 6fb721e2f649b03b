// Servers that do what the bridge does, or a part of it, for `bridge.mjs --tables peers`: nchan, a module of nginx
// that publishes to subscribers, and the libraries whose dialects the bridge speaks, in Node.

import { accessSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

import { transports } from "./bridge_servers.mjs";
import { findProgram, startServer } from "./programs.mjs";

const nchanModules = ["/usr/lib/nginx/modules/ngx_nchan_module.so", "/usr/lib64/nginx/modules/ngx_nchan_module.so"];

function isThere(file) {
	try {
		accessSync(file);
		return true;
	} catch {
		return false;
	}
}

function nchanConfiguration({ folder, port, nchanModule }) {
	return `
load_module ${nchanModule};
${process.getuid() === 0 ? "user root;" : ""}
worker_processes 1;
daemon off;
pid ${folder}/nginx.pid;
error_log ${folder}/nginx.log error;
events { worker_connections 20000; }
http {
	access_log off;
	client_body_temp_path ${folder}/nginx-body;
	proxy_temp_path ${folder}/nginx-proxy;
	fastcgi_temp_path ${folder}/nginx-fastcgi;
	uwsgi_temp_path ${folder}/nginx-uwsgi;
	scgi_temp_path ${folder}/nginx-scgi;
	keepalive_timeout 1h;
	keepalive_requests 1000000000;
	server {
		listen 127.0.0.1:${port} backlog=4096;
		location = /publish {
			nchan_publisher;
			nchan_channel_id bench;
			nchan_message_buffer_length 16;
		}
		location = /subscribe {
			nchan_subscriber;
			nchan_channel_id bench;
			nchan_subscriber_first_message oldest;
			nchan_subscriber_timeout 0;
			nchan_eventsource_ping_interval 0;
		}
	}
}
`;
}

const nchan = {
	find({ nchanModule }) {
		const nginx = findProgram("nginx");
		return nginx && [nchanModule, ...nchanModules].some((file) => file && isThere(file)) ? nginx : null;
	},
	start(file, setting, options) {
		const path = join(setting.folder, "nginx.conf");
		const nchanModule = [options.nchanModule, ...nchanModules].find((each) => each && isThere(each));
		writeFileSync(path, nchanConfiguration({ ...setting, nchanModule: resolve(nchanModule) }));
		return startServer(file, ["-p", setting.folder, "-e", join(setting.folder, "nginx.log"), "-c", path], [setting.port]);
	},
};

function library(name) {
	return {
		find({ packages }) {
			try {
				createRequire(join(resolve(packages), "x.js")).resolve(name);
				return process.execPath;
			} catch {
				return null;
			}
		},
		start(file, setting, { packages }) {
			const program = new URL("node_server.mjs", import.meta.url).pathname;
			return startServer(file, [program, String(setting.port), name, resolve(packages)], [setting.port]);
		},
	};
}

const published = { post: "/publish", path: "/subscribe" };

function ofPollux(name) {
	const row = transports.find((each) => each.name === name);
	return { ...row, title: `${row.title}: Pollux` };
}

function ofNchan(title, transport) {
	return {
		name: `nchan-${title}`, title: `${title}: nchan`, peer: nchan, measures: ["deliver", "idle"], post: published.post,
		transport: { name: transport, path: published.path },
	};
}

function ofNode(name, title, packageName) {
	const row = transports.find((each) => each.name === name);
	return {
		name: `node-${name}`, title: `${row.title}: ${title}`, peer: library(packageName), transport: row.transport,
		measures: ["session", "deliver", "send", "idle"],
	};
}

export const peerRows = [
	ofPollux("longpoll"),
	ofNchan("long-poll", "subscriber-poll"),
	ofPollux("sse"),
	ofNchan("event stream", "subscriber-stream"),
	ofPollux("websocket"),
	ofNchan("WebSocket", "websocket"),
	ofNode("websocket", "ws in Node", "ws"),
	ofPollux("sockjs-xhr"),
	ofNode("sockjs-xhr", "sockjs in Node", "sockjs"),
	ofPollux("sockjs-xhr-streaming"),
	ofNode("sockjs-xhr-streaming", "sockjs in Node", "sockjs"),
	ofPollux("engineio-polling"),
	ofNode("engineio-polling", "engine.io in Node", "engine.io"),
	ofPollux("engineio-websocket"),
	ofNode("engineio-websocket", "engine.io in Node", "engine.io"),
];
