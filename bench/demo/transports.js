// The three ways into the chat room. Each has open(), close() and send(text), counts what it does, and tells:
//
//     onState("connecting" | "open" | "reconnecting" | "closed")
//     onMessage(text)	what the room said
//     onNotice(text)	something that a reader should know
//     onCount()	the counters have changed

const chat = new URL("chat", document.baseURI);
const bytesOf = (text) => new TextEncoder().encode(text).length;
const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class Transport {
	constructor() {
		this.state = "closed";
		this.counters = { requests: 0, received: 0, bytesReceived: 0, sent: 0, bytesSent: 0 };
	}

	setState(state) {
		if (this.state === state)
			return;
		this.state = state;
		this.onState(state);
	}

	count(name, by = 1) {
		this.counters[name] += by;
		this.onCount();
	}

	took(text) {
		this.count("received");
		this.count("bytesReceived", bytesOf(text));
		this.onMessage(text);
	}

	gave(text) {
		this.count("sent");
		this.count("bytesSent", bytesOf(text));
	}

	url(name) {
		const url = new URL(chat);
		url.searchParams.set("name", name);
		return url;
	}
}

export class WebSocketTransport extends Transport {
	open(name) {
		this.name = name;
		this.setState("connecting");
		this.connect(500);
	}

	connect(pause) {
		const url = this.url(this.name);
		url.protocol = url.protocol.replace("http", "ws");
		const socket = new WebSocket(url);
		this.socket = socket;
		this.count("requests");
		socket.onopen = () => {
			pause = 500;
			this.setState("open");
		};
		socket.onmessage = (event) => this.took(event.data);
		socket.onclose = async () => {
			if (this.socket !== socket)
				return;
			this.setState("reconnecting");
			await delay(pause);
			if (this.socket === socket)
				this.connect(Math.min(pause * 2, 10000));
		};
	}

	async send(text) {
		this.socket.send(text);
		this.gave(text);
	}

	close() {
		const { socket } = this;
		this.socket = null;
		socket?.close(1000);
		this.setState("closed");
	}
}

// What the event stream and the long-poll share: a session to which messages are posted, each with a number, so
// that a post whose answer was lost can be repeated and is still said once.
class SessionTransport extends Transport {
	constructor() {
		super();
		this.posting = Promise.resolve();
	}

	begin(sessionUrl) {
		this.sessionUrl = sessionUrl;
		this.sequence = 0;
	}

	send(text) {
		const { sessionUrl } = this;
		const posted = this.posting.then(() => this.post(sessionUrl, text));
		this.posting = posted.catch(() => {});
		return posted;
	}

	async post(sessionUrl, text) {
		for (let number = this.sequence + 1; this.sessionUrl === sessionUrl; await delay(1000)) {
			const headers = { "Content-Type": "text/plain;charset=UTF-8", "Pollux-Seq": number };
			this.count("requests");
			const response = await fetch(sessionUrl, { method: "POST", headers, body: text }).catch(() => null);
			if (response?.ok) {
				this.sequence = number;
				this.gave(text);
				return;
			}
			// No answer, or no room just now: the same number again.
			if (response && response.status !== 503)
				throw new Error(`not sent: ${response.status}`);
		}
		throw new Error("not sent: the session has ended");
	}

	// Also as the page goes away, when nothing but a beacon is sent.
	endSession() {
		if (this.sessionUrl) {
			const url = new URL(this.sessionUrl);
			url.search = "close";
			navigator.sendBeacon(url);
			this.count("requests");
		}
		this.sessionUrl = null;
	}
}

export class EventStreamTransport extends SessionTransport {
	open(name) {
		this.name = name;
		this.setState("connecting");
		this.connect();
	}

	connect() {
		const source = new EventSource(this.url(this.name));
		this.source = source;
		this.count("requests");
		source.addEventListener("session", (event) => {
			const { session } = JSON.parse(event.data);
			const url = `${chat}/~${session}`;
			if (url !== this.sessionUrl)
				this.begin(url);
			this.setState("open");
		});
		source.onmessage = (event) => this.took(event.data);
		source.addEventListener("reset", (event) =>
			this.onNotice(`a new session (${JSON.parse(event.data).reason}): something may have been missed`));
		source.addEventListener("close", (event) => {
			const { code, reason } = JSON.parse(event.data);
			this.onNotice(`the room closed the session: ${code} ${reason}`);
			source.close();
			this.reconnect(source);
		});
		source.onerror = () => {
			if (source.readyState === EventSource.CLOSED) {
				this.reconnect(source);
			} else {
				this.setState("reconnecting");
				this.count("requests");
			}
		};
	}

	// EventSource comes back by itself after a cut, but not after an answer it does not like.
	async reconnect(source) {
		this.setState("reconnecting");
		this.sessionUrl = null;
		await delay(2000);
		if (this.source === source)
			this.connect();
	}

	close() {
		this.source?.close();
		this.source = null;
		this.endSession();
		this.setState("closed");
	}
}

export class LongPollTransport extends SessionTransport {
	open(name) {
		this.name = name;
		this.setState("connecting");
		this.abort = new AbortController();
		this.run(this.abort.signal);
	}

	// One session after another until closed.
	async run(signal) {
		while (!signal.aborted) {
			try {
				await this.openSession(signal);
				await this.pollSession(signal);
			} catch (error) {
				if (signal.aborted)
					return;
				this.onNotice(error.message);
			}
			this.sessionUrl = null;
			this.setState("reconnecting");
			await delay(2000);
		}
	}

	async openSession(signal) {
		this.count("requests");
		const response = await fetch(this.url(this.name), { method: "POST", signal });
		if (response.status !== 201)
			throw new Error(`no session: ${response.status}`);
		this.begin(new URL(response.headers.get("Location"), chat).href);
		this.setState("open");
	}

	async pollSession(signal) {
		for (let cursor = 0; !signal.aborted; ) {
			const answer = await this.poll(`${this.sessionUrl}?after=${cursor}&wait=25`, signal);
			if (!answer)
				continue;
			for (const { text } of answer.messages)
				this.took(text);
			cursor = answer.cursor;
			if (answer.closed)
				throw new Error(`the room closed the session: ${answer.closed.code} ${answer.closed.reason}`);
		}
	}

	// Null when there was no answer: the same poll again gets the same messages.
	async poll(url, signal) {
		this.count("requests");
		try {
			const response = await fetch(url, { signal });
			if (response.ok) {
				const answer = await response.json();
				this.setState("open");
				return answer;
			}
			if (response.status !== 503)
				throw new Error(`the session has ended: ${response.status}`);
		} catch (error) {
			if (!(error instanceof TypeError) || signal.aborted)
				throw error;
		}
		this.setState("reconnecting");
		await delay(1000);
		return null;
	}

	close() {
		this.abort?.abort();
		this.endSession();
		this.setState("closed");
	}
}
