// The TCP connections over IPv4 that a process has, by the ports of both ends: two to different servers may
// have the same port here.
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

const ESTABLISHED = '01';

function inodesOf(pid) {
	const folder = `/proc/${pid}/fd`;
	const inodes = new Set();
	for (const name of readdirSync(folder)) {
		try {
			inodes.add(/^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${name}`))?.[1]);
		} catch {
			// closed meanwhile
		}
	}
	return inodes;
}

// The name of the connection that a socket of ours is the other end of.
export function connectionOf({ localPort, remotePort }) {
	return `${remotePort} to ${localPort}`;
}

// Names of connections.
export function connectionsOf(pid) {
	const inodes = inodesOf(pid);
	const portOf = (text) => parseInt(text.split(':')[1], 16);
	const lines = readFileSync(`/proc/${pid}/net/tcp`, 'latin1').trim().split('\n').slice(1);
	const connections = lines.map((line) => line.trim().split(/\s+/))
		.filter(([, , , state, , , , , , inode]) => state === ESTABLISHED && inodes.has(inode))
		.map(([, local, remote]) => connectionOf({ remotePort: portOf(local), localPort: portOf(remote) }));
	return new Set(connections);
}
