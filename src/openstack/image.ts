import {Adapter} from './adapter.ts'
import type {Images} from './calls.ts'
import type {Client} from './client.ts'
import {checked, count, id, oneOf, orNull, type Rules, text, time} from './shape.ts'
import type {Image} from './types.ts'

const rules: Rules = {
  id,
  name: orNull(text),
  status: text,
  visibility: oneOf('public', 'community', 'shared', 'private'),
  owner: orNull(id),
  disk_format: orNull(text),
  size: orNull(count),
  virtual_size: orNull(count),
  min_ram: count,
  min_disk: count,
  created_at: time,
  os_admin_user: orNull(text),
  os_distro: orNull(text),
  os_version: orNull(text),
  architecture: orNull(text),
  image_type: orNull(text),
}

/** Glance v2. It wraps nothing: an image is the whole answer, its properties beside its own fields. */
export function imagesOf(client: Client): Images {
  const versioned = (pathname: string) =>
    /\/v2$/.test(pathname) ? pathname : `${pathname.replace(/\/v1$/, '')}/v2`
  const glance = new Adapter(client, {type: 'image', versioned})
  return {
    image: async imageId =>
      checked<Image>('image', 'image', (await glance.call('GET', ['images', imageId])) ?? {}, rules),
    async images(filter) {
      return (await glance.list(['images'], 'images', filter)).map(image =>
        checked<Image>('image', 'image', image, rules),
      )
    },
  }
}
