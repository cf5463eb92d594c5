// Does the page of notebooks/site work in Firefox? This opens a link, runs its code and returns
// what the player then shows: a script for tests/firefox.mjs.

export default async function look(page, link, patience) {
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  await page.goto(link);
  await page.click("#run");
  await page.waitForFunction(
    'document.querySelector("#run").textContent === "Run"', { timeout: Number(patience) });
  const text = (name) => page.$eval(`#${name}`, (element) => element.textContent);
  const refused = /Content-Security-Policy/; // reported for each refusal, even of an icon
  const seen = { error: await text("error"), problems: problems.filter((p) => !refused.test(p)) };
  const frame = page.frames().find((each) => each.url().endsWith("frame.html"));
  seen.state = await frame.evaluate('document.querySelector("#shown > div").player.state()');
  return seen;
}
