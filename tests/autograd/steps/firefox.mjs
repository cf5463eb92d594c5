// Does the player work in Firefox? This script for tests/firefox.mjs acts on its page as a reader
// does, and returns what the page shows.

export default async function look(page, url) {
  await page.setViewport({ width: 1024, height: 768 });

  const seen = { printed: [], requests: [] };
  page.on("console", (message) => seen.printed.push(message.text()));
  page.on("pageerror", (error) => seen.printed.push(String(error)));
  page.on("request", (request) => seen.requests.push(request.url()));

  /** Run code in the page, with a player's `host` and `root` in scope. */
  const run = (body) => page.evaluate(`(() => {
    const host = [...document.querySelectorAll("div")].find((div) => div.player);
    const root = host.shadowRoot;
    ${body}
  })()`);
  const state = () => run("return host.player.state();");

  async function press(...keys) {
    for (const key of keys) await page.keyboard.press(key);
  }

  /** The middle of the first leaf in the picture. */
  const leaf = () => run(`
    const { x, y, width, height } = root.querySelector(".stage .node").getBoundingClientRect();
    return { x: x + width / 2, y: y + height / 2 };`);

  await page.goto(url);
  seen.opened = await state();
  seen.dark = await run("return root.querySelector('.player').classList.contains('dark');");

  await press("Home");
  seen.steps = [await state()];
  for (let i = 0; i < seen.opened.last; i++) {
    await press("ArrowRight");
    seen.steps.push(await state());
  }

  const { x, y } = await leaf();
  await page.mouse.click(x, y);
  seen.chain = await run("return root.querySelector('.chain').innerText;");
  await press("Escape");
  seen.closed = await run("return root.querySelector('.chain').hidden;");

  await page.mouse.move(x, y);
  await page.mouse.down();
  await page.mouse.move(x + 50, y);
  await page.mouse.move(x + 100, y, { steps: 3 });
  await page.mouse.up();
  seen.dragged = await state();

  await press("f");
  await new Promise((done) => setTimeout(done, 500));
  seen.present = await run(`
    const text = root.querySelector(".node.current text");
    const scale = text.getCTM().a;
    const boxes = [".view", ".controls", ".step", ".node.current"].map((part) =>
      root.querySelector(part).getBoundingClientRect().toJSON());
    return {
      on: host.hasAttribute("data-present"), text: scale * parseFloat(getComputedStyle(text).fontSize),
      window: [innerWidth, innerHeight], boxes,
    };`);
  await press("f");
  seen.left = !(await run("return host.hasAttribute('data-present');"));

  return seen;
}
