/** The error of an action. Screen readers announce it; without an error it takes no space. */
export function ErrorText({ text }: { text: string }) {
  return (
    <p class="failure" role="alert">
      {text}
    </p>
  );
}
