// How do tests use Firefox? Each line of the input is a job, as JSON: the path of a script and its
// arguments. The script's default function acts on a new tab, as a reader would, and returns what
// it saw, which is printed as a line of JSON.
//
//     node firefox.mjs <folder with node_modules/puppeteer-core> <Firefox>

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [folder, executablePath] = process.argv.slice(2);
const puppeteer = createRequire(`${folder}/`)("puppeteer-core");
const browser = await puppeteer.launch({ browser: "firefox", executablePath, headless: true });
try {
  for await (const line of createInterface({ input: process.stdin })) {
    const [script, ...given] = JSON.parse(line);
    const page = await browser.newPage();
    let seen;
    try {
      const { default: look } = await import(pathToFileURL(script));
      seen = await look(page, ...given);
    } catch (error) {
      seen = { failed: String(error.stack) };
    }
    await page.close();
    console.log(JSON.stringify(seen));
  }
} finally {
  await browser.close();
}
