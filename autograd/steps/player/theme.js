// Is the page light or dark? As the notebook says, or as the reader prefers; light on paper.

/** As the notebook says (JupyterLab, VS Code, Colab); in a plain page, as the reader prefers. */
function isDark() {
  if (matchMedia("print").matches) return false;
  const { body, documentElement } = document;
  const jupyter = body.getAttribute("data-jp-theme-light");
  const colab = documentElement.getAttribute("theme");
  const code = (name) => body.classList.contains(`vscode-${name}`);
  if (jupyter) return jupyter === "false";
  if (code("light") || code("high-contrast-light")) return false;
  if (code("dark") || code("high-contrast")) return true;
  return colab ? colab === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** A function that applies the theme, and from then on follows it while the host is in the page. */
function themeFollower(host, apply) {
  const media = ["(prefers-color-scheme: dark)", "print"].map((query) => matchMedia(query));
  let following = false;
  const changed = () => {
    if (host.isConnected) return apply(isDark());
    following = false; // the page must not keep a removed player alive
    observer.disconnect();
    for (const query of media) query.removeEventListener("change", changed);
  };
  const observer = new MutationObserver(changed);
  return () => {
    apply(isDark());
    if (following) return;
    following = true;
    observer.observe(document.body, { attributes: true });
    observer.observe(document.documentElement, { attributes: true });
    for (const query of media) query.addEventListener("change", changed);
  };
}
