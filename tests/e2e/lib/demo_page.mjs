// The demo page in Debian's Chromium: columns by their transport, and what stands in them.
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

import { atEnd } from './scope.mjs';
import { PATIENCE_MS } from './wait.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

// Why there is no browser, or false.
export const WITHOUT_BROWSER = existsSync(CHROMIUM) ? false : `there is no ${CHROMIUM}`;

export const WIDE = { width: 1280, height: 800 };
export const NARROW = { width: 390, height: 844 };

const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
	'--disable-background-networking', '--disable-component-update', '--disable-sync'];

export async function startBrowser(owner) {
	const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGS });
	atEnd(owner, () => browser.close());
	return browser;
}

class Column {
	constructor(page, id) {
		this.page = page;
		this.id = id;
		this.root = page.locator(`#${id}`);
		this.input = this.root.locator('.send input');
		this.button = this.root.locator('.send button');
		this.switch = this.root.locator('.switch');
	}

	async isState(state) {
		await this.page.locator(`#${this.id}[data-state=${state}]`).waitFor();
	}

	async say(text) {
		await this.input.fill(text);
		await this.button.click();
	}

	// The lines of the log, in order.
	lines() {
		return this.root.locator('.log li').allTextContents();
	}

	// Once such a line is there.
	async hears(text, { times = 1 } = {}) {
		const { id } = this;
		await this.page.waitForFunction(({ id, text, times }) => {
			const lines = [...document.querySelectorAll(`#${id} .log li`)];
			return lines.filter((line) => line.textContent.includes(text)).length >= times;
		}, { id, text, times }).catch(async (error) => {
			error.message += `: ${JSON.stringify(text)} in ${id}, which has:\n`
				+ (await this.lines()).join('\n');
			throw error;
		});
	}

	async count(text) {
		return (await this.lines()).filter((line) => line.includes(text)).length;
	}

	async counter(name) {
		const text = await this.root.locator(`[data-counter=${name}]`).textContent();
		return Number(text.replaceAll(',', ''));
	}
}

export class DemoPage {
	faults = []; // what the page has thrown or complained of

	// A window of its own, in which nobody has been yet.
	static async open(owner, browser, url, { viewport = WIDE } = {}) {
		const context = await browser.newContext({ viewport, ignoreHTTPSErrors: true });
		context.setDefaultTimeout(PATIENCE_MS);
		atEnd(owner, () => context.close());
		const self = new DemoPage();
		self.page = await context.newPage();
		self.page.on('pageerror', (error) => self.faults.push(`thrown: ${error.message}`));
		self.page.on('console', (message) => {
			if (message.type() === 'error' || message.type() === 'warning')
				self.faults.push(`${message.type()}: ${message.text()}`);
		});
		self.columns = ['websocket', 'sse', 'longpoll'].map((id) => new Column(self.page, id));
		[self.websocket, self.sse, self.longpoll] = self.columns;
		await self.page.goto(url);
		return self;
	}

	each(action) {
		return Promise.all(this.columns.map(action));
	}

	async isOpen() {
		await this.each((column) => column.isState('open'));
	}

	// What these columns have in their fields is sent, in one go.
	submit(columns) {
		return this.page.evaluate((ids) => {
			for (const id of ids)
				document.querySelector(`#${id} .send`).requestSubmit();
		}, columns.map(({ id }) => id));
	}

	// Leaves for another page.
	async leave() {
		await this.page.goto('about:blank');
	}

	// How much wider the page is than its window.
	overflow() {
		return this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
	}
}
