// The four ways that a WebSocket can take, plain and over TLS: a client and a backend of HTTP/1.1 or
// of HTTP/2 each, with Pollux in between.
import { linked, openOverH1 } from './h2_stage.mjs';

export const PAIRINGS = [false, true].flatMap((isTls) =>
	[1, 2].flatMap((client) => [1, 2].map((backend) => ({
		name: `h${client} to h${backend}, ${isTls ? 'TLS' : 'plain'}`,
		client,
		isTls,
		protocol: backend === 2 ? 'h2' : 'http/1.1',
		isH2Backend: backend === 2,
	}))));

/*
 * A stage of `linked` whose backend says nothing on its own. `open(path, options)` gives both ends
 * of a new WebSocket: [client, backend]. Over HTTP/2 all share the connection `session`.
 */
export async function paired(t, pairing, { server = {}, ...options } = {}) {
	const stage = await linked(t, pairing, {
		...options,
		server: { onWebSocket: () => {}, ...server },
	});
	if (pairing.client === 2)
		stage.session = await stage.connect();
	stage.openClient = (path = '/', clientOptions = {}) => (pairing.client === 2
		? stage.session.webSocket(path, clientOptions)
		: openOverH1(t, stage.where, path, { ca: stage.ca, ...clientOptions }));
	stage.open = async (path, clientOptions) => {
		const client = await stage.openClient(path, clientOptions);
		return [client, await stage.backend.accept()];
	};
	// Both ends do only what the test tells them.
	stage.openManual = async (path, clientOptions) => {
		stage.backend.webSocket = () => ({ isManual: true });
		const ends = await stage.open(path, { isManual: true, ...clientOptions });
		stage.backend.webSocket = () => ({});
		return ends;
	};
	return stage;
}
