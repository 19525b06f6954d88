// Puts a Copy button on each operation, where the browser lets a page write to the clipboard.

const status = document.querySelector(".copied");

function copyButton(text) {
  const button = document.createElement("button");
  const name = text.getAttribute("aria-label");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy ${name}`);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
    status.textContent = `${name} is on the clipboard.`;
  });
  return button;
}

if (navigator.clipboard) {
  for (const text of document.querySelectorAll("pre")) text.before(copyButton(text));
}
