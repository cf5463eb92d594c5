// Does the page of notebooks/site work in Firefox? This opens a link, runs its code and prints, as
// JSON, what the player then shows.
//
//     node site_firefox.mjs <folder with node_modules/puppeteer-core> <Firefox> <link> <milliseconds>

import { createRequire } from "node:module";

const [folder, executablePath, link, patience] = process.argv.slice(2);
const puppeteer = createRequire(`${folder}/`)("puppeteer-core");
const browser = await puppeteer.launch({ browser: "firefox", executablePath, headless: true });
try {
  const page = await browser.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  await page.goto(link);
  await page.click("#run");
  await page.waitForFunction(
    'document.querySelector("#run").textContent === "Run"', { timeout: Number(patience) });
  const text = (name) => page.$eval(`#${name}`, (element) => element.textContent);
  const refused = /Content-Security-Policy/; // Firefox tells of each refusal, as of a missing icon
  const seen = { error: await text("error"), problems: problems.filter((p) => !refused.test(p)) };
  const frame = page.frames().find((each) => each.url().endsWith("frame.html"));
  seen.state = await frame.evaluate('document.querySelector("#shown > div").player.state()');
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
