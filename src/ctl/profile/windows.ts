/** Windows 8 to 11: a PowerShell script. The key is in the file, not in the arguments of a process. */
import type { Fields, Profile } from './fields.js';

/** PowerShell takes typographic quotes for its own. */
const quoted = (text: string): string => `'${text.replace(/['\u2018\u2019\u201a\u201b]/g, '$&$&')}'`;

export function windows(f: Fields): Profile {
  const split = f.routes.length > 0;
  const lines = [
    `# Connection ${quoted(f.name)} of ${quoted(f.user)}. Holds a secret: delete it when it has run.`,
    '#Requires -RunAsAdministrator',
    "$ErrorActionPreference = 'Stop'",
    `$name = ${quoted(f.name)}`,
    '',
    'Get-VpnConnection -Name $name -ErrorAction SilentlyContinue | Remove-VpnConnection -Force',
    '$connection = @{',
    '  Name = $name',
    `  ServerAddress = ${quoted(f.server)}`,
    "  TunnelType = 'L2tp'",
    `  L2tpPsk = ${quoted(f.psk)}`,
    "  AuthenticationMethod = 'MSChapv2'",
    "  EncryptionLevel = 'Optional'", // of PPP; IPsec encrypts
    '  RememberCredential = $true',
    `  SplitTunneling = $${split}`,
    '  Force = $true',
    '}',
    'Add-VpnConnection @connection',
    ...f.routes.map((net) => `Add-VpnConnectionRoute -ConnectionName $name -DestinationPrefix ${quoted(net)}`),
    ...(f.behindNat ? BEHIND_NAT : []),
    `Write-Output ${quoted(`Done. Connect as ${f.user}: Settings, Network & Internet, VPN, ${f.name}.`)}`,
  ];
  return {
    extension: 'ps1',
    // Windows PowerShell 5 reads a file without this mark in the code page of the machine.
    text: `\ufeff${lines.join('\r\n')}\r\n`,
    steps: [
      'on the PC, in a PowerShell as administrator: powershell -ExecutionPolicy Bypass -File <the file>',
      ...(f.behindNat ? ['restart the PC if the script says so: the server is behind NAT'] : []),
      ...(f.password === undefined
        ? []
        : ['Windows keeps no password from a script: type it in at the first connection']),
    ],
  };
}

/** Without it Windows does not speak IPsec to a server behind NAT: error 809 (Microsoft KB 926179). */
const BEHIND_NAT = [
  '',
  '# The server is behind NAT: Windows has to be told that this is meant (error 809 otherwise).',
  "$agent = 'HKLM:\\SYSTEM\\CurrentControlSet\\Services\\PolicyAgent'",
  "$value = 'AssumeUDPEncapsulationContextOnSendRule'",
  'if ((Get-ItemProperty -Path $agent -Name $value -ErrorAction SilentlyContinue).$value -ne 2) {',
  '  New-ItemProperty -Path $agent -Name $value -PropertyType DWord -Value 2 -Force | Out-Null',
  "  Write-Output 'Restart this PC once before the first connection.'",
  '}',
];
