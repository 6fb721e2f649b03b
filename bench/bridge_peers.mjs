// Servers that do what the bridge does, or a part of it, for `bridge.mjs --tables peers`: nchan, a module of nginx
// that publishes to subscribers, Pushpin, a proxy that does, and the libraries whose dialects the bridge speaks, in Node.

import { accessSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";

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

function pushpinConfiguration({ folder, port, control }, file) {
	return `
[global]
include={libdir}/internal.conf
rundir=${folder}
libdir=${join(dirname(file), "../lib/pushpin")}
[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:${port}
logdir=${folder}
log_level=1
client_maxconn=20000
condure_bin=condure
zurl_bin=zurl
[proxy]
routesfile=routes
zurl_out_specs=ipc://${folder}/pushpin-zurl-in
zurl_out_stream_specs=ipc://${folder}/pushpin-zurl-in-stream
zurl_in_specs=ipc://${folder}/pushpin-zurl-out
[handler]
push_in_http_addr=127.0.0.1
push_in_http_port=${control}
message_rate=1000000
message_hwm=1000000
`;
}

const pushpin = {
	find: () => findProgram("pushpin"),
	start(file, setting) {
		const path = join(setting.folder, "pushpin.conf");
		writeFileSync(path, pushpinConfiguration(setting, file));
		writeFileSync(join(setting.folder, "routes"), `* 127.0.0.1:${setting.origin}\n`);
		return startServer(file, [`--config=${path}`, "--merge-output"], [setting.port, setting.control]);
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

function ofPollux(name) {
	const row = transports.find((each) => each.name === name);
	return { ...row, title: `${row.title}: Pollux` };
}

function ofNchan(title, transport) {
	return {
		name: `nchan-${transport}`, title: `${title}: nchan`, peer: nchan, measures: ["deliver", "idle"], post: "/publish",
		transport: { name: transport, path: "/subscribe" },
	};
}

const ofPushpin = {
	name: "pushpin-stream", title: "event stream: Pushpin", peer: pushpin, measures: ["deliver", "idle"],
	post: "/publish/",
	postBody: '{"items":[{"channel":"bench","formats":{"http-stream":{"content":"data: $M\\n\\n"}}}]}',
	transport: { name: "subscriber-stream", path: "/grip" },
};

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
	ofPushpin,
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
