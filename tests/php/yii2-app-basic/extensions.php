<?php
// Does what the composer plugin yiisoft/yii2-composer does: tells Yii which extensions there are.

$extensions = [];
foreach (json_decode((string) file_get_contents('vendor/composer/installed.json'), true)['packages'] as $package) {
    if ($package['type'] === 'yii2-extension') {
        $root = realpath('vendor/composer/' . $package['install-path']);
        $extensions[$package['name']] = ['name' => $package['name'], 'version' => $package['version'], 'alias' => []];
        foreach ($package['autoload']['psr-4'] as $namespace => $folder) {
            $alias = '@' . strtr(rtrim($namespace, '\\'), '\\', '/');
            $extensions[$package['name']]['alias'][$alias] = $root . '/' . rtrim($folder, '/');
        }
        $extensions[$package['name']]['bootstrap'] = $package['extra']['bootstrap'];
    }
}
@mkdir('vendor/yiisoft', recursive: true);
file_put_contents('vendor/yiisoft/extensions.php', '<?php return ' . var_export($extensions, true) . ';');
