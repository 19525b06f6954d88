/** Files under a message: pictures as pictures, everything else by name and size. */
import type { Attachment } from "../api/messages";
import { Icon } from "./Icon";
import { sizeOf } from "./names";

interface Props {
  attachments: readonly Attachment[];
  isReachable: boolean;
}

/** The longer side of a picture in the list, in pixels. */
const LONGEST = 320;

export function Attachments({ attachments, isReachable }: Props) {
  if (attachments.length === 0) return null;
  return (
    <div class="attachments">
      {attachments.map((one) => (
        <a
          key={one.id}
          href={one.url}
          target="_blank"
          rel="noopener"
          tabIndex={isReachable ? 0 : -1}
          class="attachment"
        >
          {one.thumbnailUrl ? <Picture picture={one} src={one.thumbnailUrl} /> : <FileCard file={one} />}
        </a>
      ))}
    </div>
  );
}

/** Its place is kept free before it is loaded, so nothing jumps. */
function Picture({ picture, src }: { picture: Attachment; src: string }) {
  const [width, height] = [picture.width ?? LONGEST, picture.height ?? LONGEST];
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  const size = { width: Math.round(width * scale), height: Math.round(height * scale) };
  return <img src={src} alt={picture.filename} {...size} />;
}

function FileCard({ file }: { file: Attachment }) {
  return (
    <span class="file">
      <Icon name="file" />
      <span>{file.filename}</span>
      <small>{sizeOf(file.byteSize)}</small>
    </span>
  );
}
