import {Adapter} from './adapter.ts'
import type {Client} from './client.ts'
import {checked, id, orNull, type Rules, text} from './shape.ts'
import type {Image, Images} from './types.ts'

const rules: Rules = {id, name: orNull(text), os_admin_user: orNull(text), os_distro: orNull(text)}

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
