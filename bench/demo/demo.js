// The page: a column for each transport, each a member of the chat room of its own.

import { EventStreamTransport, LongPollTransport, WebSocketTransport } from "./transports.js";

const kept = 200; // lines in a log

const kinds = [
	{
		id: "websocket", title: "WebSocket", transport: WebSocketTransport,
		how: "One connection, both ways. Pollux carries it to the room as it is.",
	},
	{
		id: "sse", title: "SSE", transport: EventStreamTransport,
		how: "An EventSource listens, each message is a POST. Pollux holds the WebSocket to the room.",
	},
	{
		id: "longpoll", title: "Long-poll", transport: LongPollTransport,
		how: "A GET that waits until there is news, then the next one. Each message is a POST.",
	},
];

class Column {
	constructor({ id, title, how, transport }) {
		this.title = title;
		this.root = document.querySelector("#column").content.firstElementChild.cloneNode(true);
		this.root.id = id;
		this.root.setAttribute("aria-labelledby", `${id}-title`);
		this.heading = this.find("h2");
		this.heading.id = `${id}-title`;
		this.heading.textContent = title;
		this.find(".how").textContent = how;
		this.log = this.find(".log");
		this.log.setAttribute("aria-label", `Messages over ${title}`);
		this.input = this.find(".send input");
		this.input.setAttribute("aria-label", `Message over ${title}`);
		this.awaited = []; // when each own message was sent, until it comes back
		this.heard = new Set(); // who comes back is told again what was said before

		this.transport = new transport();
		this.transport.onState = (state) => this.showState(state);
		this.transport.onMessage = (text) => this.hear(JSON.parse(text));
		this.transport.onNotice = (text) => this.addNotice(text);
		this.transport.onCount = () => this.showCounters();
		this.find(".send").addEventListener("submit", (event) => this.submit(event));
		this.find(".switch").addEventListener("click", () => this.isOn ? this.leave() : this.enter(this.name));
		this.showState("closed");
	}

	find(selector) {
		return this.root.querySelector(selector);
	}

	get isOn() {
		return this.transport.state !== "closed";
	}

	enter(name) {
		this.name = name;
		this.awaited = [];
		this.transport.open(`${name} (${this.title})`);
	}

	leave() {
		this.transport.close();
	}

	showState(state) {
		this.root.dataset.state = state;
		this.find(".state").textContent = state;
		const button = this.find(".switch");
		button.textContent = state === "closed" ? "Connect" : "Disconnect";
		button.setAttribute("aria-label", `${button.textContent} ${this.title}`);
		this.find(".send button").disabled = state !== "open";
	}

	showCounters() {
		for (const [name, value] of Object.entries(this.transport.counters))
			this.find(`[data-counter="${name}"]`).textContent = value.toLocaleString("en");
	}

	async submit(event) {
		event.preventDefault();
		const text = this.input.value;
		if (this.transport.state !== "open" || !text)
			return;
		this.input.value = "";
		const sent = performance.now();
		this.awaited.push(sent);
		try {
			await this.transport.send(text);
		} catch (error) {
			this.awaited = this.awaited.filter((each) => each !== sent);
			this.addLine("notice", `${error.message}: ${text}`);
		}
	}

	// A message of the room: see the chat's JSON in the origin.
	hear({ kind, name, text, at, old, here }) {
		switch (kind) {
		case "welcome":
			this.ownName = name;
			this.addLine("notice", `You are ${name}. Members: ${here}.`);
			break;
		case "join":
		case "leave":
			if (name !== this.ownName)
				this.addLine("notice", `${name} ${kind === "join" ? "came" : "left"}. Members: ${here}.`);
			break;
		case "message": {
			const key = JSON.stringify([at, name, text]);
			if (old && this.heard.has(key))
				break;
			this.heard.add(key);
			if (name === this.ownName && !old)
				this.showRoundTrip();
			this.addMessage(name, text, at, old);
			break;
		}
		case "error":
			this.addLine("notice", text);
			break;
		}
	}

	showRoundTrip() {
		const sent = this.awaited.shift();
		if (sent !== undefined)
			this.find('[data-counter="roundTrip"]').textContent = `${(performance.now() - sent).toFixed(1)} ms`;
	}

	addMessage(name, text, at, old) {
		const who = document.createElement("b");
		who.textContent = name;
		const when = document.createElement("time");
		const date = new Date(at);
		when.dateTime = date.toISOString();
		when.textContent = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
		const line = this.addLine(name === this.ownName ? "mine" : "", when, who, ` ${text}`);
		line.classList.toggle("old", Boolean(old));
	}

	// Trouble that lasts is told once.
	addNotice(text) {
		if (this.log.lastElementChild?.textContent !== text)
			this.addLine("notice", text);
	}

	addLine(kind, ...content) {
		const { log } = this;
		const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
		const line = document.createElement("li");
		if (kind)
			line.classList.add(kind);
		line.append(...content);
		log.append(line);
		while (log.children.length > kept)
			log.firstElementChild.remove();
		if (isAtEnd)
			log.scrollTop = log.scrollHeight;
		return line;
	}
}

const columns = kinds.map((kind) => new Column(kind));
document.querySelector("#columns").append(...columns.map((column) => column.root));
for (const origin of document.querySelectorAll(".origin"))
	origin.textContent = location.origin;

const nameInput = document.querySelector("#name");
const guest = `guest ${Math.floor(Math.random() * 900 + 100)}`;
nameInput.value = new URLSearchParams(location.search).get("name") || guest;

function enterAll() {
	for (const column of columns)
		column.enter(nameInput.value);
}

function leaveAll() {
	for (const column of columns)
		column.leave();
}

document.querySelector("#naming").addEventListener("submit", (event) => {
	event.preventDefault();
	leaveAll();
	enterAll();
});

// A page that the browser keeps for "back" is still gone as far as the room is concerned.
addEventListener("pagehide", leaveAll);
addEventListener("pageshow", (event) => event.persisted && enterAll());

enterAll();
