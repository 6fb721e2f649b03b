// node_server.mjs PORT ws|sockjs|engine.io FOLDER: what bench/origin has under /push/ (see origin_push.h),
// as an application in Node that speaks WebSocket, SockJS or Engine.IO itself.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";

const [port, library, folder] = process.argv.slice(2);
const require = createRequire(join(folder, "x.js"));
const { WebSocketServer } = require("ws");

const subscribers = new Set(); // functions that send
let counted = 0;
let collector = null; // who waits until as many as it wants were counted

function answerCollector() {
	if (!collector || counted < collector.wanted)
		return;
	counted -= collector.wanted;
	collector.answer(String(collector.wanted));
	collector = null;
}

// Returns what the subscriber's messages and end are to be told.
function subscribe(send) {
	subscribers.add(send);
	return {
		onMessage(text) {
			if (text.endsWith("!"))
				return send(text);
			counted++;
			answerCollector();
		},
		onClose: () => subscribers.delete(send),
	};
}

function control(socket) {
	socket.on("message", (data) => {
		const [, command, text] = /^(\w+) (.*)$/s.exec(String(data));
		if (command === "all") {
			for (const send of subscribers)
				send(text);
		} else if (command === "collect") {
			collector = { wanted: Number(text), answer: (answer) => socket.send(answer) };
			answerCollector();
		}
	});
	socket.on("close", () => {
		counted = 0;
		collector = null;
	});
}

const serve = {
	"ws": (server, webSockets) => {
		server.on("upgrade", (request, socket, head) => {
			if (request.url.startsWith("/push/plain"))
				webSockets.handleUpgrade(request, socket, head, (client) => {
					const { onMessage, onClose } = subscribe((text) => client.send(text));
					client.on("message", (data) => onMessage(String(data)));
					client.on("close", onClose);
				});
		});
	},
	"sockjs": (server) => {
		const sockjs = require("sockjs").createServer({ prefix: "/push/sockjs", log() {} });
		sockjs.on("connection", (client) => {
			const { onMessage, onClose } = subscribe((text) => client.write(text));
			client.on("data", onMessage);
			client.on("close", onClose);
		});
		sockjs.installHandlers(server);
	},
	"engine.io": (server) => {
		const { Server } = require("engine.io");
		const engine = new Server({ pingInterval: 3600000, pingTimeout: 3600000 });
		engine.attach(server, { path: "/push/engineio", destroyUpgrade: false });
		engine.on("connection", (client) => {
			const { onMessage, onClose } = subscribe((text) => client.send(text));
			client.on("message", onMessage);
			client.on("close", onClose);
		});
	},
};

const server = createServer({ keepAliveTimeout: 3600000 });
const webSockets = new WebSocketServer({ noServer: true });
serve[library](server, webSockets);
server.on("upgrade", (request, socket, head) => {
	if (request.url === "/push/control")
		webSockets.handleUpgrade(request, socket, head, control);
});
server.listen(Number(port), "127.0.0.1", 4096);
