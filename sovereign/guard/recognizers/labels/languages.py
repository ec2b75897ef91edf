"""More labels, by what they name: the words of forms, letters and courts in some twenty-five
languages. The table of labels adds them to its own."""

# ruff: noqa: E501 - a pattern broken in two is two riddles

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["LATIN", "SCRIPTS", "WEAK"]

_N = r"(?:num(?:mer|er|ero|éro|[aă]r)|n[úu]mero|nomor|nr\.?|no\.?|n\.?[º°o]\.?|[čc][íi]slo|s[ốóo])[\s]"
"""A word for "number" before what is numbered, as in "numer klienta"."""

LATIN: Mapping[str, str] = {
    "MEDICAL_RECORD_NUMBER": r"utente|processo[\s]cl[íi]nico|potilas(?:numero|tunnus)|historia[\s]choroby|kartoteka|"
    r"kr[áa]ss?zlap|t[öo]rzssz[áa]m|chorobopis|fi[șs][aă][\s]medical[aă]|hasta|protokol|sj[úu]kranr|patientnummer|"
    rf"{_N}(?:pacient\w*|pasi[eë]n\w*|hasta|b[ệe]nh[\s][áa]n|rekam[\s]medis)",
    "MEMBER_ID": r"afiliaci[óo]n|n[úu]m[.]?[\s]afiliaci[óo]n|num[ée]ro[\s]d.adh[ée]rent|mutuelle|medlemsnummer|j[äa]sennumero|"
    r"tess?era[\s]sanitaria|versichertennr|benefici[áa]rio|carteirinha|vers\.?-?nr|sis[\s]kaart|"
    rf"{_N}(?:[cč]lon\w*|cz[łl]onk\w*|membru|tag)",
    "POLICY_NUMBER": r"ap[óo]lice|contrato|contratto|contrat|vertrags?|umow[ay]|smlouv[ay]|szerz[őo]d[ée]s|avtal(?:s)?|aftale|sopimus|"
    r"forsikrings?|f[öo]rs[äa]krings?|vakuutus|polis[yaę]?|poli[tț][aă]|versicherungsscheinnummer|kontrakt|"
    rf"{_N}(?:umowy|polisy|smlouvy|pojist\w*|contract\w*|poli[tț]\w*)",
    "CLAIM_NUMBER": r"szkod[ay]|skade|vahinko|sinistre|schadeclaim|schadenummer|k[áa]resem[ée]ny|pojistn[áa][\s]ud[áa]lost",
    "ACCOUNT_NUMBER": r"kundnr|kundenr|kundennr|klantnr|asiakasnro|client[eă]?|conta|ra[cč]un|[úu][čc]et|[üu]gyf[ée]l\w*|sz[áa]mlasz[áa]m|m[üu][şs]teri|hesap|"
    r"rekening(?:nummer)?|khach[\s]hang|khách[\s]hàng|nasabah|pelanggan|z[áa]kaznick[ée]|zakazn[íi]k|"
    rf"{_N}(?:klient\w*|kont[ao]|client\w*|cliente|compte|cuenta|conta|conto|z[áa]kazn\w*|[úu][čc]tu|rekening)",
    "CASE_NUMBER": r"gesch[äa]ftszeichen|gz|gesch\.-nr|sygn(?:atura|\.)?[\s]?(?:akt|spr)?|sp(?:isov[áa])?\.?[\s]?zn(?:a[čc]ka)?|[üu]gysz[áa]m|iktat[óo]sz[áa]m|"
    r"saksnummer|saksnr|sagsnummer|sagsnr|j\.?[\s]?nr|[äa]rendenummer|[äa]rendenr|diarienummer|dnr|diaarinumero|asianumero|zaaknummer|zaaknr|dossiernummer|"
    r"rolnummer|parketnummer|processo|proc\.|r\.?g\.?(?:n\.?r\.?)?|procedimiento|autos|sentencia|diligencias|nig|dosar(?:ul)?|dosya|esas|karar|kms|"
    r"num[ée]ro[\s]de[\s]dossier|r[ée]f[ée]rence|"
    rf"{_N}(?:sprawy|akt|dosar\w*|perkara|v[uụ][\s][áa]n|[řr][íi]zen[íi]|jednac[íi])",
    "EMPLOYEE_ID": r"matricola|matr\.|personeelsnummer|anst[äa]llningsnummer|ansattnummer|medarbejdernummer|henkil[öo]st[öo]numero|sicil|"
    r"personaln(?:umme)?r|mitarbeiternummer|legajo|"
    rf"{_N}(?:pracownik\w*|zam[ěe]stnan\w*|angajat\w*|empleado|employ[ée])",
    "IDENTIFIER": r"carta[\s]d.identit[àa]|c\.?i\.?e\.?|patente(?:[\s]di[\s]guida)?|permiso[\s]de[\s]conducir|carn[ée](?:t)?[\s]de[\s]conducir|carta[\s]de[\s]condu[çc][ãa]o|cnh|"
    r"bilhete[\s]de[\s]identidade|cart[ãa]o[\s]de[\s]cidad[ãa]o|titre[\s]de[\s]s[ée]jour|carte[\s](?:d.identit[ée]|nationale|vitale|de[\s]identitate)|cni|"
    r"passnummer|passnr|pasnummer|passin[\s]numero|passaporte|h[ộo][\s]chi[ếe]u|passinumero|pas(?:u|por\w*)|c[eê][\s]?d[uụ]la|c[ée]dula(?:[\s]de[\s]ciudadan[íi]a)?|"
    r"dow[óo]d(?:[\s]osobisty)?|legitymacj[aiy]|paszport\w{0,3}|rodn[ée][\s][čc][íi]slo|ob[čc]ansk[ýy][\s]pr[ůu]kaz|[řr]idi[čc]sk[ýy][\s]pr[ůu]kaz|"
    r"szem[ée]lyi(?:[\s]igazolv[áa]ny)?(?:[\s]sz[áa]ma?)?|[úu]tlev[ée]l(?:sz[áa]m)?|ad[óo]azonos[íi]t[óo](?:[\s]jel)?|jogos[íi]tv[áa]ny|taj(?:[\s]sz[áa]m)?|"
    r"seria[\s][A-Z]{2}|k[öo]rkort(?:snummer)?|f[øo]rerkort(?:nummer)?|k[øo]rekort(?:nummer)?|ajokortti|henkil[öo]kortti|henkil[öo]tunnus|id-?kort|"
    r"kimlik|pasaport|ehliyet|vergi|ktp|npwp|cccd|cmnd|k[ỳy]|"
    rf"{_N}(?:paszport\w*|pasu|pa[sș]aport\w*|paspor|h[ộo][\s]chi[ếe]u|dowodu|passport|passeport|pasaporte|passaporte|passaporto|identit\w*|identidad\w*|ktp|ci)",
    "DATE_OF_BIRTH": r"nascid[oa](?:[\s]em|[\s]a)?|data[\s]de[\s]nascimento|geboren[\s]op|geb\.?[\s]?datum|f[öo]delsedatum|f[øo]dselsdato|syntym[äa]aika|"
    r"data[\s]urodzenia|datum[\s]narozen[íi]|nar\.|sz[üu]let(?:ett|[ée]si[\s]id[őo]|[ée]s)|n[ăa]scut[ăa]?(?:[\s][îi]n)?(?:[\s]la)?|data[\s]na[sș]terii|do[ğg]um(?:[\s]tarihi)?|ng[àa]y[\s]sinh|tanggal[\s]lahir|tgl\.?[\s]lahir|n\.?[\s]d\.",
}
"""Words of languages that write Latin letters. Each is looked for with a word for "number" after
it, too."""

WEAK = r"s/n|serial|seri[ae]|barcode|kit|udi|implant|asset[\s]tag|sample|probe(?:n)?nummer|lic\.|bar|enrol?l?ment|matriculation|nik|sim"
"""Words that also stand before small numbers."""

SCRIPTS: Mapping[str, str] = {
    "MEDICAL_RECORD_NUMBER": r"номер\s(?:медицинской\s)?карты|медкарта|история\sболезни|αριθμός\sασθενούς|αρ\.\sασθενούς|患者番号|患者ID|カルテ番号|診察券番号|病历号|病歷號|住院号|门诊号|病案号|환자\s?번호|차트\s?번호|رقم\sالمريض|رقم\sالملف(?:\sالطبي)?|מספר\sתיק|रोगी\sसंख्या",
    "MEMBER_ID": r"полис\sОМС|полис|会員番号|会员号|會員編號|회원\s?번호|رقم\sالعضوية|מספר\sחבר|保険者番号|被保険者番号|記号番号|医保(?:卡)?号",
    "POLICY_NUMBER": r"номер\sдоговора|договор\s№|номер\sполиса|αριθμός\sσυμβολαίου|証券番号|契約番号|合同(?:编)?号|保单号|계약\s?번호|증권\s?번호|رقم\sالوثيقة|מספר\sפוליסה",
    "ACCOUNT_NUMBER": r"номер\sсч[её]та|р/с|лицевой\sсч[её]т|номер\sклиента|номер\sрахунку|αριθμός\sλογαριασμού|αρ\.\sλογαριασμού|口座番号|お客様番号|顧客番号|客户编号|客户号|账号|帳號|银行卡号|卡号|계좌\s?번호|고객\s?번호|رقم\sالحساب|رقم\sالعميل|מספר\sחשבון|מספר\sלקוח|खाता\sसंख्या",
    "CASE_NUMBER": r"дел[оа]\s(?:№|No)|справа\s(?:№|No)|номер\sдела|αρ\.\sφακέλου|αριθμός\sφακέλου|αρ\.\sπρωτ\.|事件番号|受付番号|案号|案件编号|사건\s?번호|접수\s?번호|رقم\sالقضية|תיק\sמס['׳]",
    "EMPLOYEE_ID": r"табельный\sномер|社員番号|従業員番号|工号|员工编号|사원\s?번호|사번|الرقم\sالوظيفي|מספר\sעובד",
    "IDENTIFIER": r"паспорт\w{0,3}(?:\s(?:РФ|серии|серия))?(?:\s№)?|номер\sпаспорта|серия\sи\sномер|СНИЛС|ИНН|ІПН|РНОКПП|водительское\sудостоверение|ЕГН|ЛНЧ|ЈМБГ|ОИБ|"
    r"ΑΜΚΑ|ΑΦΜ|ΑΔΤ|α\.?φ\.?μ\.?|αριθμός\s(?:διαβατηρίου|ταυτότητας)|αρ\.\s(?:διαβατηρίου|ταυτότητας)|"
    r"旅券番号|パスポート番号|免許証番号|マイナンバー|個人番号|在留カード番号|护照号码?|護照號碼|身份证号码?|身分證字號|驾驶证号|社保号|여권\s?번호|주민등록\s?번호|면허\s?번호|"
    r"رقم\s(?:الهوية|الجواز|جواز\sالسفر|الإقامة|الرخصة)|תעודת\sזהות|ת\.ז\.|מספר\sדרכון|रोगी|पासपोर्ट\sसंख्या|आधार\sसंख्या|ปชช|เลขประจำตัวประชาชน|หนังสือเดินทางเลขที่",
    "VEHICLE_ID": r"车牌号码?|車牌號碼?|車両番号|ナンバー(?:プレート)?|차량\s?번호|гос\.?\s?номер|регистрационный\sномер|αριθμός\sκυκλοφορίας|رقم\sاللوحة|מספר\sרכב",
    "DATE_OF_BIRTH": r"дата\sрождения|дата\sнародження|родил(?:ся|ась)|г\.\s?р\.|ημερομηνία\sγέννησης|γεννήθηκε(?:\sστις)?|생년월일|تاريخ\sالميلاد|תאריך\sלידה|जन्म\sतिथि|วันเกิด",
    "PHONE_NUMBER": r"телефон|тел\.?|моб\.?|τηλ(?:έφωνο)?\.?|κιν(?:ητό)?\.?|전화(?:번호)?|휴대폰|هاتف|جوال|טל['׳]|נייד|फ़ोन|โทร",
}
"""Words of other scripts. No letter case, and often no space before the value."""
