// PolluxSocket: the WebSocket API over whatever gets through. See docs/pollux.js.md.
//
// A POST opens a session; transports attach to it, one at a time. Both directions are numbered, so a
// transport may break at any byte.
//
//	new PolluxSocket(url, protocols, { transports, timeout, patience, WebSocket, fetch, headers,
//		credentials })
(() => {
	'use strict';

	const CONNECTING = 0, OPEN = 1, CLOSING = 2, CLOSED = 3;
	const NAME = 'pollux.v1';
	const ACK_AFTER_MS = 1000; // over a WebSocket
	const ACK_AFTER_SIZE = 128 * 1024;
	const CLOSE_MS = 10000;
	const SILENCE_MS = 30000; // of a WebSocket, until it is asked whether it lives
	const STREAM_SILENCE_MS = 60000;
	const POLL_MS = 65000;
	const MAX_DELAY_MS = 5000;
	const EVENTS = ['open', 'message', 'error', 'close'];

	// The session is lost for good.
	class Lost extends Error {}

	const sizeOf = (data) => data.size ?? data.byteLength ?? new Blob([data]).size;

	function toBase64(bytes) {
		let text = '';
		for (let at = 0; at < bytes.length; at += 4096)
			text += String.fromCharCode(...bytes.subarray(at, at + 4096));
		return btoa(text);
	}

	const fromBase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;

	// A copy: what is sent is what stands there now.
	function bytesOf(data) {
		return ArrayBuffer.isView(data)
			? new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice()
			: new Uint8Array(data).slice();
	}

	// As a frame is UTF-8, it has no half of a surrogate pair; JSON.stringify would leave it one.
	const toText = (value) => `${value}`.replace(/\p{Cs}/gu, '\ufffd');

	function fault(name, message) {
		throw new DOMException(message, name);
	}

	class PolluxSocket extends EventTarget {
		binaryType = 'blob';
		readyState = CONNECTING;
		protocol = '';
		extensions = '';
		bufferedAmount = 0;
		transport = ''; // the one that got through last

		#options;
		#transports;
		#url; // of P, then of the session
		#handlers = {};
		#over = new AbortController();
		#pauses = new Set(); // what ends them
		#contact = Date.now();

		#cursor = 0;
		#nUnacked = 0; // bytes received since the last acknowledgement
		#ackTimer;
		#pending = []; // { n, data, size }: not known to have arrived
		#n = 0; // the last number given to a message
		#isPosting = false;
		#ws; // while it is through
		#next = 1; // the number to send next over it
		#resend;
		#end; // { code, reason }: asked for
		#endTimer;

		constructor(url, protocols = [], options = {}) {
			super();
			try {
				this.#url = new URL(url, globalThis.location?.href);
			} catch {
				// Its string is no URL.
			}
			if (!/^(ws|http)s?:[^#]+$/.test(this.#url))
				fault('SyntaxError', `the URL ${url}`);
			const names = [protocols].flat();
			if (names.some((name, n) => !/^[!#-'*+.\w^`|~-]+$/.test(name) || names.indexOf(name) < n))
				fault('SyntaxError', `the subprotocols ${names}`);
			this.#url.protocol = this.#url.protocol.replace(/^ws/, 'http');
			this.url = this.#url.href.replace(/^http/, 'ws');
			this.#options = {
				transports: ['websocket', 'sse', 'poll'],
				timeout: 4000,
				patience: 60000,
				WebSocket: globalThis.WebSocket,
				fetch: globalThis.fetch?.bind(globalThis),
				headers: {},
				credentials: 'same-origin',
				...options,
			};
			this.#transports = this.#options.transports
				.filter((name) => name !== 'websocket' || this.#options.WebSocket);
			if (!this.#transports[0])
				fault('NotSupportedError', 'no transport');
			this.#run(names).catch((error) => this.#fail(error.message));
		}

		// The WebSocket API.

		send(data) {
			if (this.readyState === CONNECTING)
				fault('InvalidStateError', 'not open yet');
			if (!(data instanceof Blob))
				data = data instanceof ArrayBuffer || ArrayBuffer.isView(data) ? bytesOf(data) : toText(data);
			const size = sizeOf(data);
			this.bufferedAmount += size;
			if (this.readyState !== OPEN)
				return;
			const item = { n: ++this.#n, data, size };
			this.#pending.push(item);
			if (data instanceof Blob) {
				item.data = data.arrayBuffer().then((buffer) => {
					item.data = new Uint8Array(buffer);
					this.#flush();
				}).catch(() => this.#fail('a Blob cannot be read'));
			}
			this.#flush();
		}

		close(code = 1000, reason = '') {
			code = Math.round(code);
			reason = toText(reason);
			if (code !== 1000 && !(code >= 3000 && code <= 4999))
				fault('InvalidAccessError', `close code ${code}`);
			if (sizeOf(reason) > 123)
				fault('SyntaxError', 'the reason is too long');
			if (this.readyState >= CLOSING)
				return;
			this.readyState = CLOSING;
			this.#end = { code, reason };
			this.#awaitEnd();
			this.#wake();
			this.#flush();
		}

		// As long as something arrives.
		#awaitEnd() {
			clearTimeout(this.#endTimer);
			this.#endTimer = setTimeout(() => this.#finish(1006, 'the close was not answered'), CLOSE_MS);
		}

		#tell(type, members) {
			this.dispatchEvent(Object.assign(new Event(type), members));
		}

		#finish(code, reason, wasClean = code !== 1006) {
			if (this.readyState === CLOSED)
				return;
			this.readyState = CLOSED;
			clearTimeout(this.#ackTimer);
			clearTimeout(this.#resend);
			clearTimeout(this.#endTimer);
			this.#over.abort();
			this.#wake();
			globalThis.removeEventListener?.('pagehide', this.#onLeave);
			globalThis.removeEventListener?.('online', this.#wake);
			this.#tell('close', { code, reason, wasClean });
		}

		#fail(reason, code = 1006) {
			if (this.readyState === CLOSED)
				return;
			this.#tell('error', { message: reason });
			this.#finish(code, reason, false);
		}

		#onLeave = ({ persisted }) => persisted || this.#leave();
		#wake = () => this.#pauses.forEach((wake) => wake());

		// The session is to end, and nobody waits for it.
		#leave() {
			const { fetch, credentials, headers } = this.#options;
			fetch(`${this.#url}?close`, { method: 'POST', keepalive: true, credentials, headers })
				.catch(() => {});
		}

		// What comes.

		#take({ seq, text, binary, closed }) {
			if (seq <= this.#cursor)
				return;
			if (seq !== this.#cursor + 1)
				throw new Error('out of order');
			this.#cursor = seq;
			if (closed) {
				this.#finish(closed.code, closed.reason);
				return;
			}
			this.#nUnacked += (text ?? binary).length + 32;
			this.#acknowledge();
			if (this.readyState !== OPEN)
				return;
			let data = text;
			if (data === undefined) {
				data = fromBase64(binary);
				if (this.binaryType === 'blob')
					data = new Blob([data]);
			}
			this.#tell('message', { data, origin: this.#url.origin });
		}

		#acknowledge() {
			if (this.#nUnacked > ACK_AFTER_SIZE) {
				clearTimeout(this.#ackTimer);
				this.#ackTimer = undefined;
				this.#flush();
				if (this.#ws)
					this.#say({ ack: this.#cursor });
			} else {
				this.#ackTimer ??= setTimeout(() => {
					this.#ackTimer = undefined;
					if (this.#ws && this.#nUnacked > 0)
						this.#say({ ack: this.#cursor });
				}, ACK_AFTER_MS);
			}
		}

		#say(object) {
			if (object.ack !== undefined)
				this.#nUnacked = 0;
			this.#ws.send(JSON.stringify(object));
		}

		// What goes.

		// Everything up to n has arrived.
		#arrived(n) {
			while (this.#pending[0]?.n <= n) {
				this.bufferedAmount -= this.#pending.shift().size;
				if (this.#end)
					this.#awaitEnd();
			}
		}

		#flush() {
			if (this.#ws)
				this.#flushSocket();
			else if (this.transport && this.transport !== 'websocket')
				this.#post();
		}

		#flushSocket() {
			for (const { n, data } of this.#pending) {
				if (n < this.#next)
					continue;
				if (data instanceof Promise)
					return;
				this.#next = n + 1;
				this.#say(typeof data === 'string' ? { n, text: data } : { n, binary: toBase64(data) });
			}
			if (this.#end && this.#pending.length === 0)
				this.#say({ close: this.#end });
		}

		// From the number that is expected, once, for all the errors that one cause has.
		#sendAgain(expected, ms) {
			this.#arrived(expected - 1);
			this.#resend ??= setTimeout(() => {
				this.#resend = undefined;
				this.#next = expected;
				this.#flush();
			}, ms);
		}

		// One post after the other, so that they arrive in order.
		async #post() {
			if (this.#isPosting)
				return;
			this.#isPosting = true;
			let isOver = false;
			for (let n = 0; !isOver && !this.#ws && this.readyState !== CLOSED;) {
				const [item] = this.#pending;
				try {
					if (item)
						await this.#postItem(item);
					else if (this.#nUnacked > ACK_AFTER_SIZE)
						await this.#ask('POST', '', { 'Content-Type': 'application/x-ndjson' }, '');
					else if (this.#end)
						isOver = await this.#ask('DELETE', '');
					else
						isOver = true;
					n = 0;
				} catch (error) {
					if (!this.#isBearable(error))
						break;
					await this.#pause(error.retryMs ?? this.#delay(n++));
				}
			}
			this.#isPosting = false;
		}

		async #postItem({ n, data }) {
			if (data instanceof Promise) {
				await data;
				return;
			}
			const type = typeof data === 'string' ? 'text/plain;charset=utf-8' : 'application/octet-stream';
			const response = await this.#ask('POST', '', { 'Content-Type': type, 'Pollux-Seq': n }, data);
			if (response.status === 204) {
				this.#arrived(Number(response.headers.get('Pollux-Seq')));
			} else if (response.status === 409) {
				const { expected } = await response.json();
				if (!(expected > n))
					throw new Lost('numbers do not fit');
				this.#arrived(expected - 1);
			} else if (response.status === 413) {
				this.#tooBig();
			} else { // after 410 its close is on its way
				throw new (response.status === 410 ? Error : Lost)(`HTTP ${response.status}`);
			}
		}

		#tooBig() {
			this.#leave();
			this.#fail('a message is too big', 1009);
		}

		// Requests. Throws where there is no answer, or none that says anything.

		#signal(ms) {
			const controller = new AbortController();
			const abort = () => controller.abort();
			let timer;
			controller.setTime = (ms) => {
				clearTimeout(timer);
				timer = ms && setTimeout(abort, ms);
			};
			controller.setTime(ms);
			this.#over.signal.addEventListener('abort', abort);
			controller.done = () => {
				controller.setTime();
				this.#over.signal.removeEventListener('abort', abort);
			};
			return controller;
		}

		async #ask(method, query, headers = {}, body = undefined, controller = undefined) {
			const { fetch, credentials, headers: own } = this.#options;
			const all = { ...own, ...headers };
			const isSession = this.readyState !== CONNECTING;
			const acked = this.#nUnacked;
			if (isSession && method !== 'GET')
				all['Pollux-Ack'] = this.#cursor;
			const guard = controller ?? this.#signal(POLL_MS);
			try {
				const response = await fetch(`${this.#url}${query}`,
					{ method, headers: all, body, credentials, cache: 'no-store', signal: guard.signal });
				// Others may be a stranger's word, of something in between.
				if (response.ok || response.status === 503)
					this.#contact = Date.now();
				if (isSession && response.status === 404)
					throw new Lost('the session is lost');
				if (response.status >= 500 || [408, 429].includes(response.status)) {
					const seconds = Number(response.headers.get('Retry-After')) || 0;
					throw Object.assign(new Error(`HTTP ${response.status}`),
						{ status: response.status, retryMs: seconds * 1000 || undefined });
				}
				if (all['Pollux-Ack'] !== undefined && response.ok)
					this.#nUnacked = Math.max(0, this.#nUnacked - acked);
				return response;
			} finally {
				if (!controller)
					guard.done();
			}
		}

		// Whether to go on after an error.
		#isBearable(error) {
			if (this.readyState === CLOSED)
				return false;
			if (error instanceof Lost)
				this.#fail(error.message);
			else if (Date.now() - this.#contact > this.#options.patience)
				this.#fail('nothing gets through');
			return this.readyState !== CLOSED;
		}

		#delay(n) {
			return Math.min(MAX_DELAY_MS, 100 * 2 ** n) * (0.5 + Math.random() / 2);
		}

		#pause(ms) {
			return new Promise((done) => {
				const wake = () => {
					clearTimeout(timer);
					this.#pauses.delete(wake);
					done();
				};
				const timer = setTimeout(wake, ms);
				this.#pauses.add(wake);
			});
		}

		// Life.

		async #run(protocols) {
			await undefined; // so that handlers can be set
			if (!await this.#open(protocols))
				return;
			globalThis.addEventListener?.('pagehide', this.#onLeave);
			globalThis.addEventListener?.('online', this.#wake);
			this.readyState = OPEN;
			this.#tell('open');
			await this.#stay();
		}

		// An opening whose answer was lost is repeated with its key: it gets the same session.
		async #open(protocols) {
			// Who knows the key gets the session: it must not be guessed.
			const random = globalThis.crypto ?? require('node:crypto').webcrypto;
			const key = toBase64(random.getRandomValues(new Uint8Array(18)));
			const headers = { Accept: 'application/json', 'Idempotency-Key': key };
			if (protocols.length > 0)
				headers['Pollux-Protocol'] = protocols.join(', ');
			for (let n = 0; this.readyState === CONNECTING; n++) {
				try {
					const response = await this.#ask('POST', '', headers);
					if (response.status !== 201) {
						this.#fail(`HTTP ${response.status}`);
						break;
					}
					this.protocol = response.headers.get('Sec-WebSocket-Protocol') ?? '';
					this.#url = new URL(response.headers.get('Location'), response.url || this.#url);
					if (this.readyState === CONNECTING)
						return true;
					this.#leave();
				} catch (error) {
					if (error.status && error.status !== 503)
						this.#fail(error.message);
					if (!this.#isBearable(error))
						break;
					await this.#pause(error.retryMs ?? this.#delay(n));
				}
			}
			this.#fail('closed before it was open');
			return false;
		}

		// One transport after the other: after a break the same one again, else the next.
		async #stay() {
			const names = this.#transports;
			let missedAt = 0;
			for (let at = 0, n = 0; this.readyState !== CLOSED;) {
				const attempt = { name: names[at], startedAt: Date.now(), isThrough: false };
				let error;
				try {
					await this.#attach(attempt);
				} catch (thrown) {
					error = thrown;
				}
				this.#ws = undefined;
				if (!this.#isBearable(error))
					return;
				const isGood = attempt.isThrough && Date.now() - attempt.startedAt > 1000;
				n = isGood ? 0 : n + 1;
				if (!attempt.isThrough) {
					missedAt = Date.now();
					at = (at + 1) % names.length;
					if (at === 0 && !await this.#look())
						return;
				} else if (Date.now() - missedAt > 60000) {
					at = 0; // what did not work then may work now
				}
				if (attempt.isThrough || at === 0)
					await this.#pause(error?.retryMs ?? this.#delay(n));
			}
		}

		// Nothing got through; a WebSocket does not say why. False: it is over.
		async #look() {
			const guard = this.#signal(this.#options.timeout);
			try {
				await this.#pollOnce('&wait=0', guard);
			} catch (error) {
				return this.#isBearable(error);
			} finally {
				guard.done();
			}
			return this.readyState !== CLOSED;
		}

		// Comes back when the transport is over.
		async #attach(attempt) {
			const controller = this.#signal(this.#options.timeout);
			controller.through = () => {
				controller.setTime();
				attempt.isThrough = true;
				this.#contact = Date.now();
				this.transport = attempt.name;
			};
			try {
				if (attempt.name === 'websocket')
					await this.#runSocket(controller);
				else if (attempt.name === 'sse')
					await this.#runStream(controller);
				else
					await this.#runPolls(controller);
			} finally {
				controller.done();
				controller.abort();
			}
		}

		#runSocket(controller) {
			const url = `${this.#url}?after=${this.#cursor}`.replace(/^http/, 'ws');
			const ws = new this.#options.WebSocket(url, [NAME]);
			return new Promise((done) => {
				let timer;
				const cut = () => {
					clearTimeout(timer);
					done();
					ws.onmessage = null;
					ws.close();
				};
				// A number that cannot be the next is answered, and changes nothing.
				const watch = () => {
					clearTimeout(timer);
					timer = setTimeout(() => {
						this.#say({ n: Number.MAX_SAFE_INTEGER, text: '' });
						timer = setTimeout(cut, this.#options.timeout);
					}, SILENCE_MS);
				};
				controller.signal.addEventListener('abort', cut);
				ws.onerror = cut;
				ws.onclose = ({ code }) => {
					if (code === 1009)
						this.#tooBig();
					cut();
				};
				ws.onmessage = ({ data }) => {
					const object = JSON.parse(data);
					if (object.session) {
						controller.through();
						this.#ws = ws;
						this.#next = 0;
						this.#flush();
					}
					if (this.#ws !== ws)
						return;
					this.#contact = Date.now();
					watch();
					try {
						this.#hear(object);
					} catch {
						cut();
					}
				};
			});
		}

		#hear(object) {
			const { seq, sent, error, expected } = object;
			if (seq) {
				this.#take(object);
			} else if (sent) {
				this.#arrived(sent);
				if (this.#end)
					this.#flush();
			} else if (error === 'too big') {
				this.#tooBig();
			} else if (expected) {
				this.#sendAgain(expected, error === 'gap' ? 0 : 1000);
			}
		}

		// Throws unless the answer is what was asked for.
		async #check(response) {
			if (response.status === 409)
				throw new Lost('messages are lost');
			if (response.status === 410) {
				const { closed } = await response.json();
				this.#finish(closed.code, closed.reason);
			}
			if (response.status !== 200)
				throw new Error(`HTTP ${response.status}`);
		}

		async #runStream(controller) {
			const response = await this.#ask('GET', `?after=${this.#cursor}&as=json`,
				{ Accept: 'text/event-stream' }, undefined, controller);
			await this.#check(response);
			const reader = response.body.getReader();
			const decoder = new TextDecoder();
			let rest = '', event = {}, timer;
			try {
				while (!controller.signal.aborted) { // Node's read() would hang
					const { value, done } = await reader.read();
					if (done)
						return;
					controller.through();
					clearTimeout(timer);
					timer = setTimeout(() => controller.abort(), STREAM_SILENCE_MS);
					const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
					rest = lines.pop();
					for (const line of lines) {
						const [, name, text] = /^([a-z]*): ?(.*)$/.exec(line) ?? [];
						if (name)
							event[name] = text;
						if (line === '') {
							this.#takeEvent(event);
							event = {};
						}
					}
					this.#flush();
				}
			} finally {
				clearTimeout(timer);
			}
		}

		#takeEvent({ event, id, data }) {
			if (event === 'close')
				this.#take({ seq: Number(id.split('.').pop()), closed: JSON.parse(data) });
			else if (!event && data)
				this.#take(JSON.parse(data));
		}

		async #runPolls(controller) {
			// The first is answered at once, or this way is closed too.
			await this.#pollOnce('&wait=0', controller);
			while (this.readyState !== CLOSED) {
				this.#flush();
				const guard = this.#signal(POLL_MS);
				await this.#pollOnce('', guard).finally(guard.done);
			}
		}

		async #pollOnce(query, controller) {
			const response = await this.#ask('GET', `?after=${this.#cursor}${query}`,
				{ Accept: 'application/json' }, undefined, controller);
			await this.#check(response);
			controller.through?.();
			controller.setTime(POLL_MS); // its body may take long
			const { messages, closed, cursor } = await response.json();
			controller.setTime();
			messages.forEach((message) => this.#take(message));
			this.#nUnacked = 0;
			if (closed)
				this.#take({ seq: cursor, closed });
		}

		static {
			Object.entries({ CONNECTING, OPEN, CLOSING, CLOSED }).forEach(([name, value]) => {
				Object.defineProperty(this, name, { value, enumerable: true });
				Object.defineProperty(this.prototype, name, { value, enumerable: true });
			});
			for (const type of EVENTS) {
				Object.defineProperty(this.prototype, `on${type}`, {
					get() {
						return this.#handlers[type] ?? null;
					},
					set(handler) {
						this.removeEventListener(type, this.#handlers[type]);
						this.#handlers[type] = handler;
						if (handler)
							this.addEventListener(type, handler);
					},
				});
			}
		}
	}

	globalThis.PolluxSocket = PolluxSocket;
	if (typeof module === 'object')
		module.exports = PolluxSocket;
})();
