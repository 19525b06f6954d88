/** The files that the next message will carry, and how far each of them has got. */
import { IconButton } from "./IconButton";
import { sizeOf } from "./names";
import type { Uploads } from "./useUploads";

export function ComposerFiles({ uploads }: { uploads: Uploads }) {
  if (uploads.files.length === 0) return null;
  return (
    <ul class="uploads" aria-label="Attached files">
      {uploads.files.map(({ key, file, share, id, failure }) => (
        <li key={key} class={failure ? "upload failed" : "upload"}>
          <span class="upload-name">{file.name}</span>
          {failure ? (
            <span role="alert">{failure}</span>
          ) : id ? (
            <small>{sizeOf(file.size)}</small>
          ) : (
            <progress value={share} aria-label={`Uploading ${file.name}`} />
          )}
          <IconButton icon="close" name={`Remove ${file.name}`} onClick={() => uploads.remove(key)} />
        </li>
      ))}
    </ul>
  );
}
