// A long body from one end to the other, both of which stop for a while three times: the sender has
// nothing to say, the receiver does not read. What a stop waits for is either that nothing moves any
// more, or seconds.
import assert from 'node:assert/strict';

import { Changing, pass } from '../../e2e/lib/wait.mjs';
import { check, piece } from './pattern.mjs';

const PIECE = 64 * 1024;
const LOOK_MS = 10;
const LOOKS = 15; // without any change: nothing moves

export class Transfer extends Changing {
	sent = 0;
	received = 0;
	stalledAhead = 0; // the most that was under way when the receiver had not read for a while

	constructor(size, stallMs) {
		super();
		this.size = size;
		this.stallMs = stallMs;
		this.senderStops = [0.3, 0.55, 0.8].map((share) => Math.floor(size * share));
		this.receiverStops = [0.2, 0.45, 0.7].map((share) => Math.floor(size * share));
	}

	async #pauseOfSender() {
		if (this.stallMs > 0)
			await pass(this.stallMs);
		else
			await this.until(() => this.received === this.sent, 'all that was sent');
	}

	async #pauseOfReceiver() {
		if (this.stallMs > 0) {
			await pass(this.stallMs);
		} else {
			for (let seen = -1, looks = 0; looks < LOOKS; looks = seen === this.sent ? looks + 1 : 0) {
				seen = this.sent;
				await pass(LOOK_MS);
			}
		}
		this.stalledAhead = Math.max(this.stalledAhead, this.sent - this.received);
	}

	// Writes it all to a stream and ends it, after what has to be done before.
	async send(stream, before) {
		let failure;
		const onError = (error) => {
			failure = error;
			this.changed();
		};
		stream.on('error', onError);
		stream.on('close', () => this.changed());
		while (this.sent < this.size) {
			if (this.sent >= this.senderStops[0]) {
				this.senderStops.shift();
				await this.#pauseOfSender();
			}
			const bytes = piece(this.sent, Math.min(PIECE, this.size - this.sent));
			this.sent += bytes.length;
			if (!stream.write(bytes))
				await this.#drained(stream, () => failure);
		}
		await before;
		stream.end();
	}

	#drained(stream, failure) {
		return new Promise((resolve, reject) => {
			const onDrain = () => {
				stream.off('close', onClose);
				resolve();
			};
			const onClose = () => {
				stream.off('drain', onDrain);
				reject(failure() ?? new Error(`cut after ${this.sent} bytes`));
			};
			stream.once('drain', onDrain);
			stream.once('close', onClose);
		});
	}

	// Reads it all from a stream, up to its clean end.
	receive(stream) {
		return new Promise((resolve, reject) => {
			stream.on('data', (chunk) => {
				try {
					check(this.received, chunk);
				} catch (error) {
					stream.destroy();
					reject(error);
					return;
				}
				this.received += chunk.length;
				this.changed();
				if (this.received >= this.receiverStops[0]) {
					this.receiverStops.shift();
					stream.pause();
					this.#pauseOfReceiver().then(() => stream.resume(), reject);
				}
			});
			stream.on('end', () => {
				try {
					assert.equal(this.received, this.size);
					resolve();
				} catch (error) {
					reject(error);
				}
			});
			stream.on('error', reject);
			stream.on('close', () => reject(new Error(`cut after ${this.received} bytes`)));
		});
	}
}
