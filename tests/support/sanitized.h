/* Is this a build with AddressSanitizer? Compilers tell in ways of their own. */
#ifndef DFQT_SANITIZED_H
#define DFQT_SANITIZED_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DFQT_SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define DFQT_SANITIZED 1
#endif

#endif
