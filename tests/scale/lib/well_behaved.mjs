// A client that does nothing wrong: one request after another, in turn on a connection that it keeps
// and on a new one. What a crowd may not do is to keep it waiting.
import http from 'node:http';

import { atEnd } from '../../e2e/lib/scope.mjs';
import { pass, within } from '../../e2e/lib/wait.mjs';

const PAUSE_MS = 5;

function get(where, path, agent) {
	return new Promise((resolve, reject) => {
		const request = http.get({ ...where, path, agent }, (response) => {
			let size = 0;
			response.on('data', (chunk) => (size += chunk.length));
			response.on('end', () => resolve({ status: response.statusCode, size }));
			response.on('error', reject);
		});
		request.on('error', (error) => {
			// A kept connection may have been closed meanwhile (RFC 9112 section 9.3.1).
			error.isStale = request.reusedSocket;
			reject(error);
		});
	});
}

export class WellBehaved {
	latencies = [];
	failures = [];
	nStale = 0;
	#isStopped = false;
	#done;

	static start(owner, pollux, path = '/small') {
		const client = new WellBehaved();
		client.#done = client.#run(pollux.where(), path);
		atEnd(owner, () => client.stop());
		return client;
	}

	async #run(where, path) {
		const kept = new http.Agent({ keepAlive: true, maxSockets: 1 });
		const fresh = new http.Agent({ keepAlive: false });
		for (let n = 0; !this.#isStopped; n++) {
			await this.#getOnce(where, path, n % 2 === 0 ? kept : fresh);
			await pass(PAUSE_MS);
		}
		kept.destroy();
		fresh.destroy();
	}

	async #getOnce(where, path, agent) {
		const start = performance.now();
		try {
			const { status } = await within(get(where, path, agent), 'an answer');
			if (status !== 200)
				this.failures.push(`status ${status}`);
		} catch (error) {
			if (error.isStale)
				this.nStale++;
			else
				this.failures.push(error.message);
		}
		this.latencies.push(performance.now() - start);
	}

	// Ends it; its figures: { n, p50, p99, most } in milliseconds.
	async stop() {
		this.#isStopped = true;
		await this.#done;
		const sorted = [...this.latencies].sort((a, b) => a - b);
		const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
		return { n: sorted.length, p50: at(0.5), p99: at(0.99), most: sorted.at(-1) };
	}
}

export function figuresText({ n, p50, p99, most }) {
	return `${n} requests, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, `
		+ `longest ${most.toFixed(1)} ms`;
}
