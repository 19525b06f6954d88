/** The files of the next message, with the progress of their uploads. */
import { formatSize } from "./format";
import { IconButton } from "./IconButton";
import type { Uploads } from "./useUploads";

export function ComposerFiles({ uploads }: { uploads: Uploads }) {
  if (uploads.files.length === 0) return null;
  return (
    <ul class="uploads" aria-label="Attached files">
      {uploads.files.map(({ key, file, progress, id, error }) => (
        <li key={key} class={error ? "upload failed" : "upload"}>
          <span class="upload-name">{file.name}</span>
          {error ? (
            <span role="alert">{error}</span>
          ) : id ? (
            <small>{formatSize(file.size)}</small>
          ) : (
            <progress value={progress} aria-label={`Uploading ${file.name}`} />
          )}
          <IconButton icon="close" name={`Remove ${file.name}`} onClick={() => uploads.remove(key)} />
        </li>
      ))}
    </ul>
  );
}
