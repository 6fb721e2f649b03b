// The rows of bridge.mjs: transports of the load generator, the paths at which they are served, and the server.

import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { startServer } from "./programs.mjs";

const plain = "/push/plain";
const sockjs = "/push/sockjs";
const engineio = "/push/engineio";

function row(title, name, path) {
	return { name, title, transport: { name, path } };
}

export const transports = [
	row("long-poll", "longpoll", plain),
	row("event stream", "sse", plain),
	row("JSON lines", "json-lines", plain),
	row("pollux.v1 WebSocket", "pollux.v1", plain),
	row("SockJS xhr", "sockjs-xhr", sockjs),
	row("SockJS xhr_streaming", "sockjs-xhr-streaming", sockjs),
	row("SockJS eventsource", "sockjs-eventsource", sockjs),
	row("SockJS websocket", "sockjs-websocket", sockjs),
	row("Engine.IO polling", "engineio-polling", engineio),
	row("Engine.IO, upgraded", "engineio-websocket", engineio),
	row("WebSocket, tunnelled", "websocket", plain),
];

// The transports of the plain dialect: their sessions are opened by POST, then received wherever the trial landed.
export const workerSettings = transports.slice(0, 4).flatMap(({ title, name, transport }) => [
	{ name: `${name}-1`, title: `${title}, 1 worker`, workers: 1, landing: "owner" },
	{ name: `${name}-2-owner`, title: `${title}, 2, at the owner`, workers: 2, landing: "owner" },
	{ name: `${name}-2-other`, title: `${title}, 2, at the other`, workers: 2, landing: "other" },
	{ name: `${name}-4-other`, title: `${title}, 4, at another`, workers: 4, landing: "other" },
].map(({ workers, ...rest }) => ({ ...rest, transport, setting: { workers } })));

function configuration({ port, origin, workers = 1 }) {
	return `
access_log = "off"
workers = ${workers}
drain = "0s"
listen "127.0.0.1:${port}" {
	idle_timeout = "1h"
}
backend "app" {
	servers = {"127.0.0.1:${origin}"}
}
route "${plain}" {
	backend = "app"
	bridge = {"plain"}
	poll_wait = "55s"
}
route "${sockjs}" {
	backend = "app"
	bridge = {"sockjs"}
}
route "${engineio}" {
	backend = "app"
	bridge = {"engineio"}
}
`;
}

export const bridgeServer = {
	name: "Pollux",
	start(file, setting) {
		const path = join(setting.folder, "pollux.conf");
		writeFileSync(path, configuration(setting));
		return startServer(file, ["-c", path], [setting.port]);
	},
};
