<?php

declare(strict_types=1);

namespace PushGateway\Symfony\Tests;

use PushGateway\Symfony\PushGatewayBundle;
use Symfony\Bundle\FrameworkBundle\FrameworkBundle;
use Symfony\Component\Config\Loader\LoaderInterface;
use Symfony\Component\DependencyInjection\ContainerBuilder;
use Symfony\Component\HttpKernel\Kernel;

/** An application with the bundle, as its README sets it up. */
final class Application extends Kernel
{
    private const CONFIG = [
        'secret' => 'of the test',
        'http_method_override' => false,
        'notifier' => [
            'texter_transports' => ['gateway' => 'gateway://default'],
            'chatter_transports' => ['gateway' => 'gateway://default?group=staff'],
            'channel_policy' => ['medium' => ['push']],
        ],
    ];

    /** @param string $folder where it may write */
    public function __construct(private readonly string $folder)
    {
        parent::__construct('test', false);
    }

    public function registerBundles(): iterable
    {
        return [new FrameworkBundle(), new PushGatewayBundle()];
    }

    public function registerContainerConfiguration(LoaderInterface $loader): void
    {
        $loader->load(function (ContainerBuilder $container): void {
            $container->loadFromExtension('framework', self::CONFIG);
            $container->register(Services::class, Services::class)->setAutowired(true)->setPublic(true);
        });
    }

    public function getProjectDir(): string
    {
        return $this->folder;
    }

    public function getCacheDir(): string
    {
        return "$this->folder/cache";
    }

    public function getLogDir(): string
    {
        return "$this->folder/log";
    }
}
