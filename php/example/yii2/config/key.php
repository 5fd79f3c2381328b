<?php

declare(strict_types=1);

// The key that signs this installation's cookies, made by whichever worker comes first.

/** @var string $data the directory for all that is written */

return (static function (string $file): string {
    $handle = fopen($file, 'c+');
    flock($handle, LOCK_EX);
    $key = stream_get_contents($handle);
    if ($key === '') {
        $key = bin2hex(random_bytes(32));
        fwrite($handle, $key);
    }
    fclose($handle);

    return $key;
})("$data/cookie.key");
